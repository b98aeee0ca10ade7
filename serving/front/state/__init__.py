"""What the front keeps for its clients: sessions, turns, stored answers, streams; policies without I/O."""
