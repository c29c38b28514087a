"""What tests stand on: filesystems, kernels and hosts that fail on demand.

Nothing in the product imports it.
"""
