"""Put a claim before its witnesses and judge it: points, tolerance, edits, findings."""
