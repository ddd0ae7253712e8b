"""The static init of the images: a Go program in ``program/``, driven by a specification a service."""
