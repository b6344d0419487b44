"""What the person at the daemon's machine sets going: fences, new keys, contracts; and the look-ups that go on by themselves."""
