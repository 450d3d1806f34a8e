/* SPDX-License-Identifier: MIT */
/* What fstat and stat tell of a file */
#ifndef XV6_STAT_H
#define XV6_STAT_H

#define T_DIR	 1
#define T_FILE	 2
#define T_DEVICE 3

struct stat {
	int dev;
	uint ino;
	short type;
	short nlink;
	uint64 size; /* bytes */
};

#endif
