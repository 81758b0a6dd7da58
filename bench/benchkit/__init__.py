# SPDX-License-Identifier: MIT
"""What the benchmarks are made of; docs/benchmarks.md explains the method."""
