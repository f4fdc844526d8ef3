"""The past of a repository: its main line, change by change, from git objects alone."""
