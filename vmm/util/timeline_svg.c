// SPDX-License-Identifier: MIT
/* timeline_svg.c - the timeline as a picture
 *
 * A strip shows who had the time: monitor, kernel, user space.  Below it each moment has a row,
 * with a bar from the moment before; the monitor's part and the guest's have scales of their own,
 * because the one lasts milliseconds and the other may last seconds.  No script, no font, no other
 * file.
 */

#include "util/timeline.h"

#define WIDTH     960
#define LEFT      210 /* where bars begin; names stand left of it */
#define RIGHT     860 /* where the scale ends; a duration may stand right of it */
#define STRIP_TOP 62
#define STRIP     30 /* height */
#define ROW       24 /* height */
#define BAR       14 /* height */
#define HEAD      56 /* a panel's title and scale */
#define TOP       150

enum span { SPAN_MONITOR, SPAN_KERNEL, SPAN_USER, SPAN_RELEASE, N_SPANS };

static const struct {
	const char *name, *color;
} spans[N_SPANS] = {
	[SPAN_MONITOR] = { "monitor", "#2a6fb0" },
	[SPAN_KERNEL] = { "kernel", "#c77d1e" },
	[SPAN_USER] = { "user space", "#3a8f57" },
	[SPAN_RELEASE] = { "release", "#7d848e" },
};

struct picture {
	FILE *out;
	struct timeline_row rows[TIMELINE_N_MOMENTS];
	size_t n_rows;
	/* When each span began; the first is the first row.  One that never began has no length. */
	uint64_t from_ns[N_SPANS + 1];
};

static double ms(uint64_t from_ns, uint64_t to_ns)
{
	return (double)(to_ns - from_ns) / 1e6;
}

/* Where a moment lies on a scale from `from_ns` to `to_ns`. */
static double place(uint64_t at_ns, uint64_t from_ns, uint64_t to_ns)
{
	if (to_ns == from_ns)
		return LEFT;
	return LEFT + (RIGHT - LEFT) * ms(from_ns, at_ns) / ms(from_ns, to_ns);
}

static uint64_t moment_ns(const struct picture *picture, unsigned int moment, uint64_t otherwise)
{
	for (size_t i = 0; i < picture->n_rows; i++)
		if (picture->rows[i].moment == moment)
			return picture->rows[i].at_ns;
	return otherwise;
}

/* A moment that never came begins its span where the next begins.  Marks are the guest's to make,
 * so one may stand anywhere: no span begins before the one in front of it.
 */
static void picture_init(struct picture *picture, FILE *out, const struct timeline *timeline)
{
	static const unsigned int begins[N_SPANS] = { TIMELINE_START, TIMELINE_GUEST,
		TIMELINE_MARK + TIMELINE_MARK_USER, TIMELINE_END };
	uint64_t last, *from = picture->from_ns;

	picture->out = out;
	picture->n_rows = timeline_rows(timeline, picture->rows);
	last = picture->n_rows ? picture->rows[picture->n_rows - 1].at_ns : 0;
	from[N_SPANS] = last;
	for (int i = N_SPANS - 1; i > 0; i--) {
		from[i] = moment_ns(picture, begins[i], from[i + 1]);
		if (from[i] > from[i + 1])
			from[i] = from[i + 1];
	}
	from[0] = picture->n_rows ? picture->rows[0].at_ns : 0;
}

/* The span that a moment ends a part of. */
static enum span span_of(const struct picture *picture, uint64_t at_ns)
{
	int span = N_SPANS - 1;

	while (span > 0 && at_ns <= picture->from_ns[span])
		span--;
	return (enum span)span;
}

static void draw_text(FILE *out, double x, double y, const char *attributes, const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\"%s>%s</text>\n", x, y, attributes, text);
}

/* 1, 2 or 5 times a power of ten: at most eight steps make the whole. */
static double scale_step(double whole_ms)
{
	double step = 1e-6;

	for (int i = 0; step * 8 < whole_ms; i++)
		step *= i % 3 == 1 ? 2.5 : 2;
	return step;
}

static void draw_scale(FILE *out, double top, double bottom, uint64_t from_ns, uint64_t to_ns)
{
	double whole = ms(from_ns, to_ns), step = scale_step(whole);
	char text[32];

	for (int i = 0; i <= 8 && i * step <= whole; i++) {
		double x = LEFT + (whole > 0 ? (RIGHT - LEFT) * i * step / whole : 0);

		fprintf(out,
			"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#dde1e6\"/>\n",
			x, top, x, bottom);
		snprintf(text, sizeof(text), "%g", i * step);
		draw_text(out, x, top - 6, " class=\"tick\"", text);
	}
	draw_text(out, RIGHT + 14, top - 6, " class=\"unit\"", "ms");
}

static void draw_row(
	const struct picture *picture, size_t i, double y, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t before_ns = picture->rows[i ? i - 1 : 0].at_ns, at_ns = picture->rows[i].at_ns;
	double x = place(before_ns, from_ns, to_ns), end = place(at_ns, from_ns, to_ns);
	char name[32], text[32];

	timeline_name(name, picture->rows[i].moment);
	draw_text(picture->out, LEFT - 12, y + BAR - 2.5, " class=\"name\"", name);
	fprintf(picture->out,
		"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"2\" fill=\"%s\">"
		"<title>%s: at %.3f ms</title></rect>\n",
		x, y, end - x < 1.5 ? 1.5 : end - x, BAR, spans[span_of(picture, at_ns)].color,
		name, ms(picture->rows[0].at_ns, at_ns));
	snprintf(text, sizeof(text), "+%.3f", ms(before_ns, at_ns));
	draw_text(picture->out, end + 6, y + BAR - 2.5, " class=\"time\"", text);
}

/* Rows [first, end), on a scale that begins where the first one's bar does.  The height taken. */
static double draw_panel(
	const struct picture *picture, const char *title, size_t first, size_t end, double y)
{
	uint64_t from_ns = picture->rows[first ? first - 1 : 0].at_ns, to_ns;
	double bottom = y + HEAD + ROW * (double)(end - first);

	if (first == end)
		return 0;
	to_ns = picture->rows[end - 1].at_ns;
	draw_text(picture->out, 24, y + 14, " class=\"title\"", title);
	draw_scale(picture->out, y + HEAD - 10, bottom - 6, from_ns, to_ns);
	for (size_t i = first; i < end; i++)
		draw_row(picture, i, y + HEAD - 4 + ROW * (double)(i - first), from_ns, to_ns);
	return bottom - y + 16;
}

/* Who had the time, on one strip, and a legend under it. */
static void draw_strip(const struct picture *picture)
{
	double x = 24, whole = ms(picture->from_ns[0], picture->from_ns[N_SPANS]), legend = 24;

	for (int i = 0; i < N_SPANS; i++) {
		double part = ms(picture->from_ns[i], picture->from_ns[i + 1]);
		double width = whole > 0 ? (WIDTH - 48) * part / whole : 0;

		if (part <= 0)
			continue;
		fprintf(picture->out,
			"<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\">"
			"<title>%s: %.3f ms</title></rect>\n",
			x, STRIP_TOP, width < 1.5 ? 1.5 : width, STRIP, spans[i].color,
			spans[i].name, part);
		fprintf(picture->out,
			"<rect x=\"%.1f\" y=\"%d\" width=\"11\" height=\"11\" fill=\"%s\"/>"
			"<text x=\"%.1f\" y=\"%d\" class=\"time\">%s %.3f ms</text>\n",
			legend, STRIP_TOP + STRIP + 14, spans[i].color, legend + 17,
			STRIP_TOP + STRIP + 24, spans[i].name, part);
		x += width;
		legend += 210;
	}
}

static void draw_head(const struct picture *picture, double height)
{
	fprintf(picture->out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
		"viewBox=\"0 0 %d %.0f\">\n"
		"<style>text { font: 12px sans-serif; fill: #30363d } .head { font-size: 18px } "
		".title { font-size: 14px; font-weight: bold } .name { text-anchor: end } "
		".tick { font-size: 11px; fill: #6a737d; text-anchor: middle } "
		".unit { font-size: 11px; fill: #6a737d } .time { fill: #57606a; paint-order: stroke; stroke: #ffffff; stroke-width: 3px }</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
		WIDTH, height, WIDTH, height);
	fprintf(picture->out,
		"<text x=\"24\" y=\"38\" class=\"head\">pronto run: %.3f ms from start to end</text>\n",
		ms(picture->from_ns[0], picture->from_ns[N_SPANS]));
}

void timeline_draw(FILE *out, const struct timeline *timeline)
{
	struct picture picture;
	size_t guest = 0;
	double y = TOP;

	picture_init(&picture, out, timeline);
	/* The first row begins everything, and so has no bar; the guest's panel begins after it
	 * runs. */
	while (guest < picture.n_rows && picture.rows[guest].at_ns <= picture.from_ns[SPAN_KERNEL])
		guest++;
	draw_head(&picture, TOP + 2 * (HEAD + 16) + ROW * (double)picture.n_rows);
	if (picture.n_rows) {
		draw_strip(&picture);
		y += draw_panel(&picture, "The monitor, until the guest runs", 1, guest, y);
		draw_panel(&picture, "The guest, and its end", guest, picture.n_rows, y);
	}
	fputs("</svg>\n", out);
}
