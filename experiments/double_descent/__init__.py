"""Does the test error fall a second time beyond as many features as samples, and by how much?"""
