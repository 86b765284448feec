"""Tools around the package: measuring it against others. Only the command line knows them."""
