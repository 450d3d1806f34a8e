/* SPDX-License-Identifier: MIT */
/* A moment, as the clock chip has it */
#ifndef XV6_DATE_H
#define XV6_DATE_H

struct rtcdate {
	uint second, minute, hour, day, month, year;
};

#endif
