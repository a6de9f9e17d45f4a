"""Benchmarks: one file each, run by `hopstream bench NAME`, measured by harness.py."""
