// SPDX-License-Identifier: MIT
/* stopwatch.c - start programs and say when they spoke, what it cost, and when they were gone
 *
 * usage: stopwatch [-u TEXT] [-k] [-n COUNT] [-w] [-s DIR] [-t SECONDS] PROGRAM [ARGUMENT...]
 *   -u TEXT     the program is up when its output holds TEXT (default: anything)
 *   -k          kill it once it is up (default: wait for its own end)
 *   -n COUNT    start so many, each when the one before is up, and keep all; implies -k
 *   -x COMMAND  when all are up, run this by the shell, with their numbers in $PIDS
 *   -s DIR      when one is up, read the number in each file of DIR too
 *   -t SECONDS  give up after so long (default: 60)
 *
 * Prints one JSON object a line, {"up": I, ...} and {"end": I, ...}.  Wall-clock time counts from
 * the execve(), CPU time is that of the program's process since then.  Exit status 1: not all came
 * up.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_PROGRAMS 1024
#define MAX_TEXT     128

struct program {
	pid_t pid;
	int out_fd; /* its standard output; -1 after its end */
};

/* Written by the new process just before it becomes the program. */
struct start {
	uint64_t wall_ns, cpu_ns;
};

struct stopwatch {
	const char *text, *stats_dir, *command;
	char **argv;
	unsigned int count, seconds;
	bool kill;
	struct start *start; /* shared with the children; one for each */
	struct program program[MAX_PROGRAMS];
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t timeval_ns(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * 1000000000u + (uint64_t)tv.tv_usec * 1000u;
}

_Noreturn static void fail(const char *what)
{
	fprintf(stderr, "stopwatch: %s: %s\n", what, strerror(errno));
	exit(1);
}

_Noreturn static void become(char **argv, int out_fd, struct start *start, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || dup2(out_fd, STDOUT_FILENO) < 0)
		_exit(127);
	start->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	start->wall_ns = clock_ns(CLOCK_MONOTONIC);
	execvp(argv[0], argv);
	fprintf(stderr, "stopwatch: cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void start_program(struct stopwatch *watch, unsigned int i)
{
	struct program *program = &watch->program[i];
	pid_t parent = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		fail("pipe");
	program->pid = fork();
	if (program->pid < 0)
		fail("fork");
	if (program->pid == 0)
		become(watch->argv, fds[1], &watch->start[i], parent);
	close(fds[1]);
	program->out_fd = fds[0];
}

/* Read once, for at most as long as is left.  False at the end, or when the time is over. */
static bool read_some(int fd, char *data, size_t size, size_t *n, uint64_t until_ns)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	ssize_t got;

	if (now >= until_ns || poll(&pollfd, 1, (int)((until_ns - now) / 1000000u) + 1) <= 0)
		return false;
	got = read(fd, data, size);
	*n = got > 0 ? (size_t)got : 0;
	return got > 0;
}

/* Wait for the text in the program's output.  What may be its beginning stays in the buffer. */
static bool await_text(int fd, const char *text, uint64_t until_ns)
{
	size_t length = strlen(text), have = 0, n;
	char data[4096 + MAX_TEXT];

	while (read_some(fd, data + have, sizeof(data) - have, &n, until_ns)) {
		have += n;
		if (memmem(data, have, text, length))
			return true;
		if (have >= length) {
			memmove(data, data + have - (length - 1), length - 1);
			have = length - 1;
		}
	}
	return false;
}

static void print_stats(const char *directory)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;
	const char *separator = "";

	if (!dir)
		fail(directory);
	printf(", \"stats\": {");
	while ((entry = readdir(dir))) {
		char path[512];
		unsigned long long value;
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		file = entry->d_type == DT_REG ? fopen(path, "re") : NULL;
		if (file && fscanf(file, "%llu", &value) == 1) {
			printf("%s\"%s\": %llu", separator, entry->d_name, value);
			separator = ", ";
		}
		if (file)
			fclose(file);
	}
	closedir(dir);
	printf("}");
}

/* The clocks are read first: the CPU time is to hold as little as can be of what came after. */
static bool watch_up(struct stopwatch *watch, unsigned int i)
{
	const struct program *program = &watch->program[i];
	const struct start *start = &watch->start[i];
	uint64_t until_ns = clock_ns(CLOCK_MONOTONIC) + watch->seconds * UINT64_C(1000000000);
	uint64_t wall_ns, cpu_ns;
	clockid_t cpu_clock;

	if (!await_text(program->out_fd, watch->text, until_ns))
		return false;
	wall_ns = clock_ns(CLOCK_MONOTONIC);
	if (clock_getcpuclockid(program->pid, &cpu_clock))
		fail("clock_getcpuclockid");
	cpu_ns = clock_ns(cpu_clock);
	printf("{\"up\": %u, \"pid\": %d, \"start_ns\": %llu, \"wall_ns\": %llu, \"cpu_ns\": %llu",
		i, program->pid, (unsigned long long)start->wall_ns,
		(unsigned long long)(wall_ns - start->wall_ns),
		(unsigned long long)(cpu_ns > start->cpu_ns ? cpu_ns - start->cpu_ns : 0));
	if (watch->stats_dir)
		print_stats(watch->stats_dir);
	printf("}\n");
	fflush(stdout);
	return true;
}

/* Let the program say the rest of what it has to say, until it closes its output. */
static bool await_end(int fd, unsigned int seconds)
{
	uint64_t until_ns = clock_ns(CLOCK_MONOTONIC) + seconds * UINT64_C(1000000000);
	char data[4096];
	size_t n;

	while (read_some(fd, data, sizeof(data), &n, until_ns))
		;
	return clock_ns(CLOCK_MONOTONIC) < until_ns;
}

static void watch_end(struct stopwatch *watch, unsigned int i, bool kill_it)
{
	struct program *program = &watch->program[i];
	const struct start *start = &watch->start[i];
	struct rusage usage;
	uint64_t wall_ns, cpu_ns;
	int status;

	if (kill_it || !await_end(program->out_fd, watch->seconds))
		kill(program->pid, SIGKILL);
	while (wait4(program->pid, &status, 0, &usage) < 0)
		if (errno != EINTR)
			fail("wait4");
	wall_ns = clock_ns(CLOCK_MONOTONIC);
	cpu_ns = timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
	printf("{\"end\": %u, \"wall_ns\": %llu, \"cpu_ns\": %llu, \"minflt\": %ld, \"majflt\": %ld, "
	       "\"maxrss_kib\": %ld, \"status\": %d}\n",
		i, (unsigned long long)(wall_ns - start->wall_ns),
		(unsigned long long)(cpu_ns > start->cpu_ns ? cpu_ns - start->cpu_ns : 0),
		usage.ru_minflt, usage.ru_majflt, usage.ru_maxrss,
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	close(program->out_fd);
}

static void run_command(const struct stopwatch *watch)
{
	char pids[MAX_PROGRAMS * 12] = "";
	size_t end = 0;

	for (unsigned int i = 0; i < watch->count; i++)
		end += (size_t)snprintf(
			pids + end, sizeof(pids) - end, "%d ", watch->program[i].pid);
	if (setenv("PIDS", pids, 1) || system(watch->command))
		fail(watch->command);
}

static int run(struct stopwatch *watch)
{
	unsigned int n;
	bool up = true;

	for (n = 0; up && n < watch->count; n++) {
		start_program(watch, n);
		up = watch_up(watch, n);
	}
	if (!up)
		fputs("stopwatch: it ended, or its time was over, before it was up\n", stderr);
	if (up && watch->command)
		run_command(watch);
	for (unsigned int i = 0; i < n; i++)
		watch_end(watch, i, watch->kill || !up);
	return up ? 0 : 1;
}

static unsigned int number(const char *text, unsigned int max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || value < 1 || value > max) {
		fprintf(stderr, "stopwatch: %s is not a number from 1 to %u\n", text, max);
		exit(2);
	}
	return (unsigned int)value;
}

static void parse(struct stopwatch *watch, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "+u:kn:x:s:t:")) != -1) {
		switch (opt) {
		case 'u': watch->text = optarg; break;
		case 'k': watch->kill = true; break;
		case 'n': watch->count = number(optarg, MAX_PROGRAMS); break;
		case 'x': watch->command = optarg; break;
		case 's': watch->stats_dir = optarg; break;
		case 't': watch->seconds = number(optarg, 86400); break;
		default: exit(2);
		}
	}
	watch->kill |= watch->count > 1;
	watch->argv = argv + optind;
	if (!*watch->argv || strlen(watch->text) > MAX_TEXT) {
		fputs("stopwatch: give a program; a text of at most 128 bytes\n", stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct stopwatch watch = { .text = "", .count = 1, .seconds = 60 };

	parse(&watch, argc, argv);
	watch.start = mmap(NULL, sizeof(struct start) * watch.count, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (watch.start == MAP_FAILED)
		fail("mmap");
	return run(&watch);
}
