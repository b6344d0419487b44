"""Chat clients that others wrote, each tried in the same cells against a daemon: `make clients`.

Nothing here is collected by `make test`: the clients come from package registries, and some need node or a browser.
"""
