"""What people wrote about a change, made into a statement that gives nothing away."""
