"""Traffic as plain numbers: when sessions begin and how long their turns are. Shared with the simulator."""
