"""Is a party's run the same, bit for bit, on any number of its own workers, and on none?"""
