/* SPDX-License-Identifier: MIT */
/* The sizes of xv6's tables */
#ifndef XV6_PARAM_H
#define XV6_PARAM_H

#define NPROC	    64	 /* processes */
#define KSTACKSIZE  4096 /* of a kernel stack */
#define NCPU	    8
#define NOFILE	    16	/* descriptors of a process */
#define NFILE	    100 /* open files of the system */
#define NINODE	    50
#define NDEV	    10
#define ROOTDEV	    1
#define MAXARG	    32 /* arguments of exec */
#define MAXOPBLOCKS 10
#define LOGSIZE	    (MAXOPBLOCKS * 3)
#define NBUF	    (MAXOPBLOCKS * 3)
#define FSSIZE	    1000 /* blocks */

#endif
