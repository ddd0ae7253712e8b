"""Turns the disks of a Linux machine into container images; knows neither vSphere nor Dask."""
