"""Does a party's own work on a Ray or Dask cluster give what it gives on one machine, and does the cluster's machinery
see nothing but sealed bytes?"""
