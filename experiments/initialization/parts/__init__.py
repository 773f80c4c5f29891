"""One question each: measure, judge, decide the lecture claims it bears on."""
