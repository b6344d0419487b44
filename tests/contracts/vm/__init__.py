"""Tests of the virtual machine."""
