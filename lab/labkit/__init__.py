# SPDX-License-Identifier: MIT
"""What lab/lab, lab/fetch and lab/guest/mkinitramfs are made of; Python's standard library only."""
