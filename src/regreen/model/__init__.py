"""The policy: a hybrid of Gated DeltaNet and gated attention with a mixture of experts."""
