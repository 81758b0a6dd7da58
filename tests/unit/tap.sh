#!/bin/bash
# SPDX-License-Identifier: MIT
# Run a unit test, whose name and arguments are given, so that it reports in TAP.  cmocka before 1.1.6 (Debian 12) calls
# what was skipped "not ok", which meson takes for a failure; and no cmocka knows the reason, which skip_because() prints.
set -o pipefail
CMOCKA_MESSAGE_OUTPUT=TAP "$@" | awk '
/^# because / { reason = substr($0, 11); next }
/^(not )?ok [0-9]+ # SKIP/ { sub(/^not /, ""); sub(/# SKIP.*/, "# SKIP " reason); reason = "" }
{ print; fflush() }'
