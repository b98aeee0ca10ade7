"""What is wrong with a ScaledObject, before anybody applies it: rules over YAML, each with the fix."""
