"""What talks to the world: engines, key files, log sinks. Each satisfies a Protocol that a policy declares."""
