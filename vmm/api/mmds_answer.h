/* SPDX-License-Identifier: MIT */
/* mmds_answer.h - what the metadata service says to a request */
#ifndef API_MMDS_ANSWER_H
#define API_MMDS_ANSWER_H

#include "api/mmds_http.h"
#include "api/mmds_store.h"
#include "api/mmds_token.h"

#include <stdatomic.h>

/* How often; the service's to write, anybody's to read. */
struct mmds_counters {
	_Atomic uint64_t requests;
	_Atomic uint64_t no_token; /* a value was asked for without one */
	_Atomic uint64_t invalid_token;
	_Atomic uint64_t connections_made, connections_ended;
};

struct mmds_service {
	struct mmds_store store;
	bool needs_token;     /* version 2 */
	uint64_t patience_ms; /* with a connection (mmds_serve.h) */
	struct mmds_tokens tokens;
	struct mmds_counters *counters; /* not owned */
};

/* `request` is NULL where there was none that could be understood.  Its body is the caller's to
 * free.  now_ns: of CLOCK_MONOTONIC.
 */
struct mmds_answer mmds_answer(
	struct mmds_service *service, const struct mmds_request *request, uint64_t now_ns);

#endif
