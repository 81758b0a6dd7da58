# SPDX-License-Identifier: MIT
"""The benchmarks, one a file: NAME, TITLE, why_not(given) and run(given), which returns cases."""
