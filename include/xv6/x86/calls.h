/* SPDX-License-Identifier: MIT */
/* The calls and library functions that the x86 terms have in common (user.h) */
#ifndef XV6_CALLS_H
#define XV6_CALLS_H

struct stat;
struct rtcdate;

int fork(void);
int exit(void) __attribute__((noreturn));
int wait(void);
int pipe(int *fds);
int write(int fd, const void *buffer, int n);
int read(int fd, void *buffer, int n);
int close(int fd);
int kill(int pid);
int exec(char *path, char **argv);
int open(const char *path, int how);
int mknod(const char *path, short major, short minor);
int unlink(const char *path);
int fstat(int fd, struct stat *st);
int link(const char *from, const char *to);
int mkdir(const char *path);
int chdir(const char *path);
int dup(int fd);
int getpid(void);
char *sbrk(int bytes);
int sleep(int ticks); /* 100 a second */
int uptime(void);     /* in ticks */

int stat(const char *path, struct stat *st);
char *strcpy(char *to, const char *from);
void *memmove(void *to, const void *from, int n);
char *strchr(const char *text, char c);
int strcmp(const char *a, const char *b);
void printf(int fd, const char *format, ...); /* %d %x %p %s %c %% */
char *gets(char *buffer, int size);
uint strlen(const char *text);
void *memset(void *to, int c, uint n);
void *malloc(uint size);
void free(void *memory);
int atoi(const char *text);

#endif
