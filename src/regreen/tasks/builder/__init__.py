"""The building agent: an environment and a verifying script for what rules cannot build."""
