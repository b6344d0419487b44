"""Tests of pre-flight: what is foretold, and the process that runs foreign contracts."""
