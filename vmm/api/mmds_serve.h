/* SPDX-License-Identifier: MIT */
/* mmds_serve.h - the metadata service's connections
 *
 * Each is one guest's program, which is not trusted, nor to be waited for: it has one request and
 * one answer at a time, and so much time for each.
 */
#ifndef API_MMDS_SERVE_H
#define API_MMDS_SERVE_H

#include "api/mmds_answer.h"

#define MMDS_MAX_CONNECTIONS 30 /* of all networks */

/* For a request to be complete, for an answer to be taken, and for the next to begin: of a service
 * that says nothing else.
 */
#define MMDS_PATIENCE_MS 20000
/* For a guest to close what we have closed. */
#define MMDS_LINGER_MS 2000

/* Serve who connects to the sockets, and hear on control_fd what is changed (mmds_wire.h), until
 * that is closed: 0, or -errno of what the host lacks.
 */
int mmds_serve(struct mmds_service *service, const int *listen_fds, unsigned int n_listeners,
	int control_fd);

#endif
