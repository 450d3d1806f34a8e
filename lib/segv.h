/* SPDX-License-Identifier: MIT */
/* The report of stray accesses (wmap_report_segv), for the preload library */
#ifndef WMAP_SEGV_H
#define WMAP_SEGV_H

#include <signal.h>

#include "wmap/wmap.h"

/*
 * sigaction(2) for SIGSEGV while the report is on: sets and gets the handler
 * that follows the report. While it is off: sigaction itself.
 */
WMAP_API int wmap_segv_sigaction(const struct sigaction *act,
				 struct sigaction *old);

#endif
