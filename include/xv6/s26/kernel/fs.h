/* SPDX-License-Identifier: MIT */
/* xv6's file system as it lies on the disk, and what reading a directory gives */
#ifndef XV6_FS_H
#define XV6_FS_H

#define ROOTINO 1
#define BSIZE	1024

#define FSMAGIC 0x10203040

struct superblock {
	uint magic;
	uint size, nblocks, ninodes, nlog;
	uint logstart, inodestart, bmapstart;
};

#define NDIRECT	  12
#define NINDIRECT (BSIZE / sizeof(uint))
#define MAXFILE	  (NDIRECT + NINDIRECT)

struct dinode {
	short type, major, minor, nlink;
	uint size;
	uint addrs[NDIRECT + 1];
};

#define IPB	      (BSIZE / sizeof(struct dinode))
#define IBLOCK(i, sb) ((i) / IPB + (sb).inodestart)
#define BPB	      (BSIZE * 8)
#define BBLOCK(b, sb) ((b) / BPB + (sb).bmapstart)

#define DIRSIZ 14

struct dirent {
	ushort inum; /* 0: a free entry */
	char name[DIRSIZ];
};

#endif
