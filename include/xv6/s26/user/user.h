/* SPDX-License-Identifier: MIT */
/* What a program of term S26 may call */
#ifndef XV6_USER_H
#define XV6_USER_H

struct stat;
struct mmapinfo;

#define SBRK_ERROR ((char *)-1)

int fork(void);
int exit(int status) __attribute__((noreturn));
int wait(int *status);
int pipe(int *fds);
int write(int fd, const void *buffer, int n);
int read(int fd, void *buffer, int n);
int close(int fd);
int kill(int pid);
int exec(const char *path, char **argv);
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
char *sbrklazy(int bytes);
int sleep(int ticks); /* 100 a second */
int pause(int ticks);
int uptime(void); /* in ticks */

void *mmap(void *addr, uint64 length, uint flags);
int munmap(void *addr);
int getmmapinfo(struct mmapinfo *info);

int stat(const char *path, struct stat *st);
char *strcpy(char *to, const char *from);
void *memmove(void *to, const void *from, int n);
char *strchr(const char *text, char c);
int strcmp(const char *a, const char *b);
char *gets(char *buffer, int size);
uint strlen(const char *text);
void *memset(void *to, int c, uint n);
int atoi(const char *text);
int memcmp(const void *a, const void *b, uint n);
void *memcpy(void *to, const void *from, uint n);
void fprintf(int fd, const char *format, ...);
void printf(const char *format, ...); /* %d %u %x, also of l and ll; %p %s %c */
void *malloc(uint size);
void free(void *memory);

#endif
