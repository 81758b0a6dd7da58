/* SPDX-License-Identifier: MIT */
/* who.h - those that the rows of calls.h are for */
#ifndef FILTER_WHO_H
#define FILTER_WHO_H

enum who {
	VCPU = 1,
	IO = 2,
	CONTROL = 4,
	AGAIN = 8,
	SAVED = 16,
	WRITER = 32,
	OUTSIDE = 64,
	JOB = 128,
	UNPACK = 256,
	PAGER = 512,
	API = 1024,
	FILES = 2048,
	MMDS = 4096
};

#endif
