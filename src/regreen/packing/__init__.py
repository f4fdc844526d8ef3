"""Documents to rows of fixed capacity, without cutting what fits and without losing a head."""
