"""How a stream whose engine broke goes on at another one: what may, what was said, what is left, one story from two."""
