/* SPDX-License-Identifier: MIT */
/*
 * wmap - memory mapping with a pager of the program's own
 *
 * A mapping is a range of addresses whose pages are brought when the hardware
 * faults on them: by wmap's pager, a thread of this process, from a store (a
 * file, zeros, or functions of the program: <wmap/store.h>). Loads and stores
 * are ordinary ones.
 *
 * Two families of calls share one pager and one address space:
 *   wmap, wunmap, wremap, getwmapinfo, va2pa   the calls of an operating-systems
 *                  course, in 64 bits and without its limits. Each first touch
 *                  loads exactly that page; past the end of a file are zeros.
 *   wmap_*         mmap(2) and its family, with more said and more told. Past
 *                  the end of a file is SIGBUS.
 *
 * Conventions, where a function does not say otherwise:
 *   Errors    -1, NULL or WMAP_FAILED, and errno; nothing has changed then.
 *             Any call may also fail because the pager cannot be started, with
 *             EPERM   no userfaultfd: access to /dev/userfaultfd, CAP_SYS_PTRACE
 *                     or the sysctl vm.unprivileged_userfaultfd is needed
 *             ENOSYS  the kernel is older than Linux 6.1
 *             ENOMEM, EMFILE, EAGAIN  memory, descriptors, threads ran out
 *   Units     bytes and 4096-byte pages; addresses are page-aligned where said.
 *   Threads   every call may be made from any thread at any time.
 *   Signals   no call is interrupted by a signal (no EINTR). One that waits for
 *             a pager in another process blocks all, but SIGHUP, SIGINT, SIGQUIT
 *             and SIGTERM, where they are not handled, ignored or blocked, end
 *             the process within a second. A signal handler
 *             may touch mapped memory. It must not leave a call by longjmp; it
 *             may so leave a SIGBUS that a load or a store got.
 *   fork      as with mmap(2): the child has its parent's mappings, shared ones
 *             shared, private ones as copies. The pager moves into a process of
 *             its own before the first fork with mappings alive. If it cannot
 *             (Linux before 6.6, no wmap command beside the library, a store of
 *             the program's own functions is mapped), and in a child of a raw
 *             clone(2), the child has none but private anonymous memory, if
 *             nothing of that was in swap, which is ordinary memory there: a touch
 *             of the others is SIGSEGV, never zeros.
 *   Kernel    read(2), write(2), O_DIRECT and io_uring work on untouched mapped
 *             memory, unless the pager got user-mode faults only
 *             (WMAP_FEATURE_KERNEL_FAULTS is not set): then they give EFAULT.
 *   Death     exit(3) writes shared file mappings back, as do wmap_sync and the
 *             unmapping calls. A process that is killed, or leaves by _exit(2),
 *             loses what it stored since, if a thread is its pager; nothing, if
 *             wmapd is (wmap_pager_set).
 */
#ifndef WMAP_WMAP_H
#define WMAP_WMAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WMAP_API __attribute__((visibility("default")))

#define WMAP_VERSION_MAJOR 0
#define WMAP_VERSION_MINOR 1
#define WMAP_PAGE_SIZE	   4096

struct wmap_store;

/* ---- Flags -------------------------------------------------------------- */

/*
 * The course's numbers. They are NOT those of mmap(2), whose MAP_SHARED is 1
 * and MAP_PRIVATE is 2: never mix the two families.
 */
#define WMAP_PRIVATE   0x1  /* stores stay here; others' are seen until then */
#define WMAP_SHARED    0x2  /* stores reach the file and every other mapping */
#define WMAP_ANONYMOUS 0x4  /* zeros; the descriptor is ignored */
#define WMAP_FIXED     0x8  /* exactly there, and never over a mapping */
#define WMAP_GROWSUP   0x10 /* a touch just above extends it by that page */

/* of wmap_map and wmap_remap alone */
#define WMAP_REPLACE 0x100 /* with FIXED: over what is there, as MAP_FIXED */
#define WMAP_DIRECT  0x200 /* O_DIRECT to the file, no page cache of its own */

/* of wremap and wmap_remap */
#define WMAP_MAYMOVE 0x1

#define WMAP_FAILED ((void *)-1)

/* ---- The course's calls -------------------------------------------------- */

#define WMAP_MAX_INFO 16

/* What getwmapinfo tells, in ascending order of address. */
struct wmapinfo {
	int total_mmaps;		/* all there are, also above 16 */
	uint64_t addr[WMAP_MAX_INFO];	/* the first 16 of them */
	uint64_t length[WMAP_MAX_INFO]; /* bytes, as requested */
	uint64_t n_loaded_pages[WMAP_MAX_INFO];
};

/**
 * wmap - map a file or anonymous memory
 * @addr:   with WMAP_FIXED the first byte, page-aligned; else ignored
 * @length: bytes, > 0; the mapping occupies whole pages
 * @flags:  exactly one of WMAP_PRIVATE and WMAP_SHARED; WMAP_ANONYMOUS,
 *          WMAP_FIXED, WMAP_GROWSUP
 * @fd:     a regular file open for reading (for reading and writing if shared),
 *          mapped from its first byte; ignored with WMAP_ANONYMOUS
 *
 * Loads nothing. Memory is readable and writable; the descriptor may be closed
 * and its offset does not move. Past the end of the file are zeros, and a store
 * there makes the file longer, to @length at most. A WMAP_GROWSUP mapping
 * grows by the page just above it at a touch there, as long as one free page
 * remains above; a touch elsewhere is SIGSEGV. A file grows with it. (Where the
 * pager is another process and this one could have no thread beside it, which the
 * log tells, it does not grow.)
 *
 * Returns the address, or WMAP_FAILED.
 *
 * Errors:
 *   EINVAL  @length is 0 or above PTRDIFF_MAX ("negative"); both or neither of
 *           PRIVATE and SHARED; an unknown flag; a FIXED @addr that is not
 *           page-aligned, or is 0
 *   EEXIST  WMAP_FIXED, and something is mapped in the range; or WMAP_GROWSUP
 *           and no free page above it
 *   ENOMEM  no room for it: addresses, RLIMIT_AS, vm.max_map_count, memory; a
 *           FIXED range outside the address space
 *   EBADF   @fd is not an open descriptor
 *   EACCES  @fd is not open for reading; or SHARED and not for writing
 *   ENODEV  @fd is a directory, pipe, socket or device
 *   EBUSY   another pager writes back to this file
 * Source: the course (F24, S24, F23).
 */
WMAP_API void *wmap(void *addr, size_t length, int flags, int fd);

/**
 * wunmap - remove a whole mapping
 * @addr: its first byte
 *
 * Blocks:  until the changed pages of a shared file mapping are written.
 *
 * Errors:
 *   EINVAL  no mapping starts at @addr
 *   EIO, ENOSPC, ETIMEDOUT …  the store failed; the mapping and its changes stay
 * Source: the course.
 */
WMAP_API int wunmap(void *addr);

/**
 * wremap - make a mapping longer or shorter
 * @oldaddr: its first byte
 * @oldsize: its length as requested, exactly
 * @newsize: bytes, > 0
 * @flags:   0 or WMAP_MAYMOVE
 *
 * Shrinks in place, grows in place where there is room; else, with
 * WMAP_MAYMOVE, moves, loaded pages and contents with it.
 *
 * Returns the address, or WMAP_FAILED.
 *
 * Errors:
 *   EINVAL  no such mapping, @newsize is 0 or "negative", an unknown flag
 *   ENOMEM  no room (in place, without WMAP_MAYMOVE)
 *   EIO …   shrinking: the store failed to take the pages that would go
 * Source: the course (S24).
 */
WMAP_API void *wremap(void *oldaddr, size_t oldsize, size_t newsize, int flags);

/**
 * getwmapinfo - the mappings of this process
 * @info: filled
 *
 * Errors:
 *   EFAULT  @info is NULL or not writable memory
 * Source: the course.
 */
WMAP_API int getwmapinfo(struct wmapinfo *info);

/**
 * va2pa - the physical address behind an address
 * @va: any address of this process: mapping, code, heap or stack
 *
 * Loads nothing and changes no count. A page that is loaded, but that this
 * process has not touched yet, has an answer too.
 *
 * Returns the physical address with @va's offset in its page, or (uint64_t)-1.
 *
 * Errors:
 *   EFAULT  no page is there now
 *   EPERM   reading frame numbers takes CAP_SYS_ADMIN
 * Source: the course.
 */
WMAP_API uint64_t va2pa(const void *va);

/* ---- Mapping ------------------------------------------------------------- */

struct wmap_map_options {
	size_t size;		  /* sizeof(struct wmap_map_options) */
	size_t grain;		  /* bytes one fault brings: a power of two,
				     4096 to 2 MiB; 0 is 4096. Of private
				     anonymous memory 2 MiB come as a huge
				     page where the kernel can do that */
	struct wmap_store *store; /* instead of a file; the mapping takes a
				     reference of its own. NULL: @fd */
	unsigned deadline_ms;	  /* a store that has not answered by then has
				     failed, ETIMEDOUT; 0 is the default:
				     $WMAP_DEADLINE_MS, else 30000 */
	size_t memory; /* its own budget in bytes, as wmap_mapping_bound's; 0:
			  none */
};

/**
 * wmap_map - map a file, a store or anonymous memory
 * @addr:    WMAP_FIXED: the first byte; else a hint, or NULL
 * @length:  bytes, > 0; the mapping occupies whole pages
 * @prot:    PROT_NONE or PROT_READ, PROT_WRITE, PROT_EXEC or-ed
 * @flags:   exactly one of WMAP_PRIVATE and WMAP_SHARED; WMAP_ANONYMOUS,
 *           WMAP_FIXED, WMAP_REPLACE, WMAP_DIRECT
 * @fd:      a regular file, or -1 with a store or WMAP_ANONYMOUS
 * @offset:  where in the file or store; a multiple of 4096
 * @options: NULL, or more wishes
 *
 * Means what mmap(2) means: past the end of the file is SIGBUS, a file never
 * grows by stores, what a store changed after the last partial page is lost.
 * Every mapping of one file shows one memory, as long as one of them exists.
 * A file changed by write(2) meanwhile may be seen late (under `wmap run` it is
 * seen at once).
 *
 * Takes under 100 µs whatever the length. Touched pages cost 16 bytes of
 * bookkeeping at most, others none.
 *
 * Returns the address, or WMAP_FAILED.
 *
 * Errors: as wmap's, and
 *   EINVAL     @offset is not a multiple of 4096; @grain is none; @prot has
 *              unknown bits; WMAP_REPLACE without WMAP_FIXED; @memory is too
 *              small, or more than the machine has
 *   EOVERFLOW  @offset + @length is beyond 2^63 - 1
 *   EACCES     shared and PROT_WRITE, but @fd is open for reading only, or
 *              the store has no write
 * Source: mmap(2).
 */
WMAP_API void *wmap_map(void *addr, size_t length, int prot, int flags, int fd,
			off_t offset, const struct wmap_map_options *options);

/**
 * wmap_unmap - remove the mappings of a range
 * @addr:   page-aligned
 * @length: bytes, > 0; rounded up to whole pages
 *
 * What lies partly inside is split. Unmapping where nothing is succeeds.
 *
 * Blocks:  until changed pages that would go are written to their store.
 *
 * Errors:
 *   EINVAL  @addr is not page-aligned, @length is 0 or the sum overflows
 *   EIO, ENOSPC, ETIMEDOUT …  the store failed; everything is left mapped
 * Source: munmap(2).
 */
WMAP_API int wmap_unmap(void *addr, size_t length);

/**
 * wmap_remap - make part of a mapping longer or shorter, or move it
 * @oldaddr: page-aligned, inside one mapping
 * @oldlength: bytes, > 0
 * @newlength: bytes, > 0
 * @flags:   0, WMAP_MAYMOVE, or WMAP_MAYMOVE | WMAP_FIXED
 * @newaddr: with WMAP_FIXED, where to; what is there is unmapped
 *
 * Returns the address, or WMAP_FAILED.
 *
 * Errors:
 *   EINVAL  a length is 0, an address unaligned, a flag unknown; FIXED and the
 *           ranges overlap
 *   EFAULT  [@oldaddr, @oldaddr + @oldlength) is not inside one mapping, or its
 *           parts were protected differently
 *   ENOMEM  no room
 * Source: mremap(2).
 */
WMAP_API void *wmap_remap(void *oldaddr, size_t oldlength, size_t newlength,
			  int flags, void *newaddr);

/**
 * wmap_protect - change what may be done with a range
 * @addr, @length: as wmap_unmap's
 * @prot: as wmap_map's
 *
 * Errors:
 *   EINVAL  @addr is not page-aligned, @prot has unknown bits, the sum overflows
 *   ENOMEM  part of the range is not mapped
 *   EACCES  PROT_WRITE of a shared mapping whose store cannot be written
 * Source: mprotect(2).
 */
WMAP_API int wmap_protect(void *addr, size_t length, int prot);

#define WMAP_SYNC_WAIT	1 /* return when the store has confirmed every page */
#define WMAP_SYNC_START 2 /* begin, and return at once */

/**
 * wmap_sync - write the changed pages of a range back to its store
 * @addr:   first byte, page-aligned, inside mappings of this process
 * @length: bytes; rounded up to whole pages
 * @flags:  WMAP_SYNC_WAIT or WMAP_SYNC_START
 *
 * A store made before the call is in what is written; one made during it may
 * or may not be, and stays marked for the next time. Clean pages cost nothing.
 * WMAP_SYNC_WAIT ends with the store's flush (fdatasync(2) for a file). Pages
 * that a failed read left as SIGBUS are tried again.
 *
 * Blocks:  WMAP_SYNC_WAIT until the store has confirmed every page.
 *
 * Errors:
 *   EINVAL  @addr is not page-aligned, a flag is unknown, both or neither
 *   ENOMEM  part of the range is not mapped
 *   EIO, ENOSPC, ETIMEDOUT …  the store failed now, or in a write-back since
 *           the last sync; the pages stay changed and are tried again
 * Source: msync(2).
 */
WMAP_API int wmap_sync(void *addr, size_t length, int flags);

#define WMAP_ADVICE_NORMAL     0
#define WMAP_ADVICE_RANDOM     1 /* a fault brings its grain and no more */
#define WMAP_ADVICE_SEQUENTIAL 2 /* a fault brings what follows it too */
#define WMAP_ADVICE_WILLNEED   3 /* bring it now, without waiting for it */
#define WMAP_ADVICE_DONTNEED   4 /* let it go, once written; private: dropped */
#define WMAP_ADVICE_COLD       5 /* first to go when memory is short */
#define WMAP_ADVICE_PAGEOUT    6 /* let it go, once written; nothing is lost */

/**
 * wmap_advise - say how a range will be used
 * @addr, @length: page-aligned, bytes
 * @advice: WMAP_ADVICE_*; RANDOM and SEQUENTIAL hold for the whole mapping
 *
 * Blocks:  WMAP_ADVICE_DONTNEED, _PAGEOUT until changed pages are written.
 *
 * Errors:
 *   EINVAL  @addr is not page-aligned, @advice is unknown
 *   ENOMEM  part of the range is not mapped
 *   EIO …   DONTNEED, PAGEOUT: the store failed; those pages stay
 * Source: madvise(2).
 */
WMAP_API int wmap_advise(void *addr, size_t length, int advice);

/* ---- Memory --------------------------------------------------------------- */

#define WMAP_MEMORY_MIN	      ((size_t)256 << 10)
#define WMAP_MEMORY_UNLIMITED ((size_t)-1)

/**
 * wmap_memory_set - bound the memory that mappings hold: the budget
 * @bytes: WMAP_MEMORY_MIN to the memory of the machine, or
 *         WMAP_MEMORY_UNLIMITED, as at first if $WMAP_MEMORY does not say more
 *         ("256M")
 *
 * Pages in memory, pages on their way and the pager's buffers together are kept
 * within it. Above it pages of files and stores go again: first those that are
 * clean and were not used lately; changed ones are written back before. Below
 * it nothing goes. Files are read and written past the page cache, but for what
 * it has already. Anonymous pages, and changed ones of private mappings of files,
 * go to swap (wmap_swap_set). Where the pager is another process changed pages of
 * private mappings of files do not count, and stay; so do private anonymous ones,
 * which count, where it has no thread here (wmapd(8)) or there is no /proc.
 * May be called again at any time; what is too much then goes in the background.
 *
 * Each thread should find room for 16 pages: with less, threads that use several
 * pages in one instruction take them from each other for a while.
 *
 * If the pager is wmapd, this bounds the pages that this process's mappings
 * brought (wmap_mapping_bound), beside the budget of wmapd itself, which bounds
 * all clients together: that is what its own $WMAP_MEMORY says, and of it each
 * client has a share (wmapd(8)).
 *
 * Errors:
 *   EINVAL  too small, or more than the machine has
 *   ENOMEM  more than three quarters of it is pinned
 */
WMAP_API int wmap_memory_set(size_t bytes);

/**
 * wmap_mapping_bound - bound the memory that one mapping holds
 * @addr:  inside the mapping
 * @bytes: WMAP_MEMORY_MIN to the memory of the machine, or
 *         WMAP_MEMORY_UNLIMITED
 *
 * The pages that came through it, in memory and on their way, are kept within
 * that; those that other mappings of the same file brought do not count, until
 * they go. When it is full its own pages go, as wmap_memory_set says, and no
 * others. The budget of all holds beside it. The pieces of a mapping that was cut
 * have one such budget together; a fork's child has one of its own.
 *
 * Errors:
 *   EINVAL  too small, or more than the machine has
 *   ENOENT  no mapping is there
 *   ENOMEM  more than three quarters of it is pinned; memory ran out; or, under
 *           wmapd, 1024 mappings of this process have one
 */
WMAP_API int wmap_mapping_bound(void *addr, size_t bytes);

/**
 * wmap_swap_set - say where private and anonymous pages go when memory is short
 * @where: "DIRECTORY", "DIRECTORY:lz4" or "DIRECTORY:zstd": pages are compressed
 *         by that; not in a directory that lies in memory itself (tmpfs)
 *
 * They go to one file without a name, which is opened now and goes with the pager;
 * at first, when the first page goes, in the directory that $WMAP_SWAP says as
 * here, else in /var/tmp. What is free in it is used again; it does not become
 * shorter. Pages of zeros are not written.
 *
 * If there is no such file, or it cannot be written (a full disk), pages stay where
 * they are, and the budget is exceeded rather than a page lost: the log says so,
 * @swap_errors of wmap_stats_get counts it, and a wmap_sync of the mapping tells
 * the error of a write once. A page that cannot be read is SIGBUS, until it can.
 *
 * Before a fork all that is in the file comes back, whatever the budget; after it
 * the pager is another process (wmap_pager_set): there $WMAP_SWAP alone says where
 * anonymous pages go, and none come back for a fork.
 * What cannot come back the child does not have: SIGSEGV.
 *
 * Errors:
 *   EINVAL  NULL, no directory, or no such compression
 *   EBUSY   pages went to another file already
 *   ENAMETOOLONG, ENOENT, ENOTDIR, EACCES, EROFS, ENOSPC …  as open(2) says
 *   EOPNOTSUPP  the directory lies in memory; the pager is another process
 */
WMAP_API int wmap_swap_set(const char *where);

struct wmap_range {
	void *addr;
	size_t length; /* bytes */
};

/**
 * wmap_prefetch - bring what will be needed, in the order of need
 * @ranges: read before the call returns; whole pages that they touch
 * @n:      0 to WMAP_PREFETCH_MAX
 *
 * Returns at once; reads run deep in the background. With a budget they keep
 * about a quarter of it ahead of the reader and wait there for it to come: so the
 * list may be longer than memory. What is not mapped is passed by, what a read
 * fails to bring is left to the fault.
 *
 * If wmapd is killed it is forgotten, and waiting for it ends.
 *
 * Returns a number for wmap_prefetch_wait and wmap_prefetch_cancel, or -1.
 *
 * Errors:
 *   EINVAL  more than WMAP_PREFETCH_MAX ranges, or one that wraps; under wmapd,
 *           more than WMAP_PREFETCH_REMOTE_MAX
 *   EFAULT  @ranges is not readable
 *   ENOMEM  no memory for the list; or all lists that this user's processes have
 *           under way in a wmapd together have more than a million ranges
 */
#define WMAP_PREFETCH_MAX	 ((size_t)1 << 24)
#define WMAP_PREFETCH_REMOTE_MAX ((size_t)1 << 16)
WMAP_API int64_t wmap_prefetch(const struct wmap_range *ranges, size_t n);

/** wmap_prefetch_wait - until all is there, or as much as fits ahead of use */
WMAP_API int wmap_prefetch_wait(int64_t prefetch);

/** wmap_prefetch_cancel - ask for no more; what is on its way still comes */
WMAP_API int wmap_prefetch_cancel(int64_t prefetch);

/* ---- Recording and replaying ------------------------------------------------- */

/**
 * wmap_record_start - record which pages of files are touched, in what order
 * @path: where the recording will be; if one is there it is added to
 *
 * From now on each page of a mapped file that is touched for the first time is
 * noted, of all processes that share this one's pager, until wmap_record_stop or
 * exit(3), which write the recording. $WMAP_RECORD does the same from the first
 * mapping on. Pages that were there before are not seen. While it records a first
 * touch is always a message to the pager, also of a page that was read ahead. At
 * most 4,096 files and four million runs of pages.
 *
 * The pager must be a thread, or be started by this call: with "private" for its
 * place (wmap_pager_set) that is before the first mapping.
 *
 * Errors:
 *   EINVAL   @path is NULL or empty; or a file is there that is no recording
 *   EISDIR, EACCES, ENOENT, EROFS …  it could not be written
 *   EBADMSG  what is there is cut off or damaged
 *   EPROTONOSUPPORT  it is of another version
 *   EBUSY    this process records already
 *   EOPNOTSUPP  the pager is a wmapd
 */
WMAP_API int wmap_record_start(const char *path);

/**
 * wmap_record_stop - end a recording, and write it to its file
 *
 * The file is replaced whole: what is touched now comes first, then what only the
 * recording there before had. Left out is what has been changed or taken away
 * since. A file is known by device and inode, or by its path, together with its
 * length and the time of its last change, as they are when the recording ends: so
 * what the program wrote itself makes nothing stale.
 *
 * Errors:
 *   EINVAL  nothing is recorded
 *   ENOSPC, EACCES, … as wmap_record_start's: the file is as it was, and the
 *           recording goes on
 */
WMAP_API int wmap_record_stop(void);

/**
 * wmap_replay - bring what a recording says as soon as it is mapped
 * @path: the recording, read now; NULL: replay nothing any more
 *
 * From now on a mapping of a file that is in it, and has not changed since, has
 * the pages that were recorded brought, from its first fault on, in the order
 * recorded and in large reads, within the budget and behind faults. It goes as far
 * ahead as it proves right; of a recording that is wrong about a program 1 MiB a
 * mapping is brought. Where and when as wmap_record_start; $WMAP_REPLAY does the
 * same.
 *
 * Errors:
 *   EINVAL, EBADMSG, EPROTONOSUPPORT  it is no recording, is cut off or damaged, is
 *           of another version: nothing has changed
 *   ENOENT, EACCES, EISDIR …  it cannot be read
 *   EFBIG   it is larger than 256 MiB
 *   EOPNOTSUPP  the pager is a wmapd
 */
WMAP_API int wmap_replay(const char *path);

/* ---- Pins --------------------------------------------------------------------- */

/**
 * wmap_pin - bring a range, and keep it whatever the budget
 * @addr, @length: as wmap_sync's
 *
 * Pins do not count: one wmap_unpin undoes any number. Unmapping does, too.
 *
 * With a budget, pin what a device writes to: where a read(2) from a descriptor
 * with O_DIRECT goes, and io_uring's registered buffers. Nothing tells a pager
 * that a page is in use so; if it is evicted meanwhile, what arrives is lost.
 * Synchronise (wmap_sync) after such a read, not during it.
 *
 * Blocks:  until the range is in memory.
 *
 * Errors:
 *   EINVAL  @addr is not page-aligned
 *   ENOMEM  part of the range is not mapped; or more than three quarters would
 *           be pinned of a budget: the mapping's, the process's, its part of
 *           wmapd's (wmapd(8)); or wmapd has 1024 pieces of this process
 */
WMAP_API int wmap_pin(void *addr, size_t length);

/** wmap_unpin - let a range be evicted again; errors as wmap_pin's */
WMAP_API int wmap_unpin(void *addr, size_t length);

/* ---- Information ----------------------------------------------------------*/

/**
 * wmap_residency - which pages of a range are in memory
 * @addr, @length: as wmap_sync's
 * @vec: one byte a page, bit 0 set if in memory; (length + 4095) / 4096 bytes
 *
 * Errors:
 *   EINVAL  @addr is not page-aligned
 *   ENOMEM  part of the range is not mapped
 *   EFAULT  @vec is not writable memory
 * Source: mincore(2).
 */
WMAP_API int wmap_residency(void *addr, size_t length, unsigned char *vec);

struct wmap_mapping_info {
	size_t size; /* sizeof(struct wmap_mapping_info), by the caller */
	void *addr;
	size_t length;	   /* bytes, as requested */
	uint64_t offset;   /* of the first byte in its store */
	uint64_t dev, ino; /* of the file; 0 if it has none */
	int prot, flags;   /* as last given */
	size_t grain;
	size_t loaded;	 /* pages that this mapping touched (the course's
			     n_loaded_pages; with a grain, that were brought) */
	size_t resident; /* pages of its range in memory, whoever brought them;
			     of private memory, its own */
	size_t dirty;	 /* pages of its range not yet written back; and if
			     more than 8192 of its object can be stored to
			     unseen, as who stores will need them, all these */
	uint64_t faults; /* messages from the kernel */
	uint64_t fills;	 /* pages brought for it */
	uint64_t writebacks; /* pages written back for its object */
	uint64_t errors; /* faults that ended in SIGBUS, writes that failed */
	uint64_t memory_limit; /* its own budget, bytes; UINT64_MAX: none */
	uint64_t memory;       /* bytes of that used */
	char name[104];	       /* the store: a file's path (its end, if longer),
			     "zero", or the name in its table */
};

/**
 * wmap_mapping_list - all mappings of this process, in order of address
 * @infos: room for @n of them; infos[0].size says how large one is
 * @n:     may be 0
 *
 * Returns how many there are, which may be more than @n, or -1.
 *
 * Errors:
 *   EINVAL  infos[0].size is no size that this library knows
 *   EFAULT  @infos is not writable memory
 */
WMAP_API ssize_t wmap_mapping_list(struct wmap_mapping_info *infos, size_t n);

/**
 * wmap_mapping_find - the mapping at an address
 *
 * Errors:
 *   ENOENT  none is there
 *   EINVAL, EFAULT  as wmap_mapping_list's
 */
WMAP_API int wmap_mapping_find(const void *addr,
			       struct wmap_mapping_info *info);

/*
 * Latencies are counted in buckets: of bucket b, wmap_bucket_start(b) is the
 * smallest. 8 buckets a doubling, so that a quantile is right to 12 %.
 */
#define WMAP_BUCKETS 256

struct wmap_stats {
	size_t size; /* sizeof(struct wmap_stats), by the caller */
	uint64_t mappings, objects;
	uint64_t resident, dirty;		    /* pages */
	uint64_t faults, fills, writebacks, errors; /* since the start */
	uint64_t bytes_read, bytes_written;	    /* of stores */
	uint64_t bookkeeping;  /* bytes held for all of it */
	uint64_t memory_limit; /* bytes; UINT64_MAX: none */
	uint64_t memory;       /* bytes of it used now */
	uint64_t memory_peak;  /* the most that ever was, since it was asked */
	uint64_t memory_share; /* of it, what nobody takes from this process */
	uint64_t memory_own;   /* of it, what this process's mappings brought */
	uint64_t evicted;      /* pages, since the start */
	uint64_t swapped_out, swapped_in; /* of these, and of all that came */
	uint64_t swap_errors;		  /* writes that failed */
	/* From the pager's reading of a fault's message to its sleeper's wake;
	   the way there and back is not in it. */
	uint64_t latency_max_ns;
	uint64_t latency[WMAP_BUCKETS];
};

/**
 * wmap_stats_get - what the pager has done since it was started
 * @stats: @size set by the caller
 *
 * Errors:
 *   EINVAL  @size is no size that this library knows
 *   EFAULT  @stats is not writable memory
 */
WMAP_API int wmap_stats_get(struct wmap_stats *stats);

/** wmap_bucket_start - the smallest latency of a bucket, in ns */
WMAP_API uint64_t wmap_bucket_start(unsigned bucket);

/**
 * wmap_stats_quantile - a latency that @q of all faults did not exceed, in ns
 * @q: 0 to 1; 0.5 is the median. 0 if there was no fault.
 */
WMAP_API uint64_t wmap_stats_quantile(const struct wmap_stats *stats, double q);

/* ---- The pager ----------------------------------------------------------- */

/* What the running kernel gives; $WMAP_KERNEL_WITHOUT takes away. */
#define WMAP_FEATURE_KERNEL_FAULTS 0x1	/* system calls may touch */
#define WMAP_FEATURE_POISON	   0x2	/* UFFDIO_POISON, 6.6 */
#define WMAP_FEATURE_MOVE	   0x4	/* UFFDIO_MOVE, 6.8 */
#define WMAP_FEATURE_CONTINUE_WP   0x8	/* UFFDIO_CONTINUE_MODE_WP, 6.4 */
#define WMAP_FEATURE_WP_ASYNC	   0x10 /* UFFD_FEATURE_WP_ASYNC, 6.7 */
#define WMAP_FEATURE_IO_URING	   0x20 /* else plain preads by threads */

/**
 * wmap_pager_set - choose where this process's pager runs
 * @where: "thread"   a thread of this process, which moves out into a process of
 *                    its own when this one forks with mappings alive
 *         "private"  a process of its own from the start: what was stored to
 *                    shared file mappings reaches the files also if this
 *                    process is killed
 *         "daemon"   the user's wmapd ($XDG_RUNTIME_DIR/wmap.sock, root's
 *                    /run/wmap.sock): memory is shared with its other clients
 *         "@name", "/path"   the wmapd that listens there
 *
 * Without this call $WMAP_PAGER says it, in the same words, else $WMAP_SOCKET,
 * which `wmap run` sets; else it is a thread. In a wmapd there are no stores of
 * the program's own (wmap_map_options.store: EOPNOTSUPP). It takes UFFDIO_POISON,
 * so Linux 6.6; else a thread pages all the same.
 *
 * Errors:
 *   EBUSY         a pager runs already
 *   EINVAL        @where is none of these
 *   ENAMETOOLONG  no socket has so long a name
 * With the first mapping, or wmap_start:
 *   ENOENT, ECONNREFUSED   nobody listens there; no wmap command is found
 *                          ("private": beside the library, else $WMAP_COMMAND)
 *   EPERM, ECONNRESET      that wmapd does not serve this user
 */
WMAP_API int wmap_pager_set(const char *where);

/**
 * wmap_start - start the pager now rather than with the first mapping
 * @features: NULL, or where WMAP_FEATURE_* are put
 */
WMAP_API int wmap_start(unsigned *features);

/**
 * wmap_stop - end the pager's thread and give back all it holds
 *
 * Errors:
 *   EBUSY   there are mappings
 */
WMAP_API int wmap_stop(void);

/**
 * wmap_log_set - hear what the pager has to say
 * @log: called with one line without a newline, on any thread, the pager's
 *       too: it must not touch mapped memory or wait for who does. NULL: none
 * @arg: passed to it
 *
 * Threads: set it before the first mapping.
 */
WMAP_API void wmap_log_set(void (*log)(void *arg, const char *line), void *arg);

/**
 * wmap_report_segv - say more about stray accesses before they kill
 *
 * From now on a SIGSEGV first prints one line to standard error (the address,
 * read or write, the thread, the nearest mapping) and writes shared pages back;
 * then the handler that was installed before, or death by SIGSEGV, follows. A
 * handler that the program installs later takes the place of all that.
 */
WMAP_API int wmap_report_segv(void);

#ifdef __cplusplus
}
#endif

#endif
