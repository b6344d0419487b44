"""An embedded chain on the virtual machine, with nearcore's JSON-RPC."""
