"""The model service: client and scripted endpoint."""
