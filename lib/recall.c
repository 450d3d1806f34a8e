/* SPDX-License-Identifier: MIT */
/* What is recorded and replayed, and the calls that say so (recall.h) */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api.h"
#include "client.h"
#include "journal.h"
#include "mem.h"
#include "message.h"
#include "recall.h"
#include "replay.h"
#include "sys.h"

static struct {
	pthread_mutex_t lock;
	bool looked;		 /* [l] at the environment */
	pid_t owner;		 /* [l] who records: its children do not */
	struct journal *journal; /* [l] or NULL */
	int fd;			 /* [l] its descriptor, or -1 */
	char path[PATH_MAX];	 /* [l] where it is to be written */
	int recording;		 /* [l] a memfd with the one to replay, or -1 */
} recall = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.fd = -1,
	.recording = -1,
};

static void lock(void)
{
	pthread_mutex_lock(&recall.lock);
}

static void unlock(void)
{
	pthread_mutex_unlock(&recall.lock);
}

static bool records(void)
{
	return recall.journal && recall.owner == getpid();
}

/* ---- Messages ------------------------------------------------------------------*/

static int tell_record(int fd)
{
	struct message message = { .kind = MESSAGE_RECORD, .record.fd = fd };

	return client_call(&message);
}

static int tell_replay(struct recording *recording)
{
	struct message message = { .kind = MESSAGE_REPLAY };
	int error;

	if (recording) {
		message.replay.replay = replay_create(recording);
		if (!message.replay.replay)
			return -ENOMEM;
	}
	error = client_call(&message);
	if (error && recording)
		replay_destroy(message.replay.replay);
	return error;
}

static int tell_recording(void)
{
	struct recording *recording;
	const char *why;
	int error = recording_read_open(recall.recording, &recording, &why);

	return error ? error : tell_replay(recording);
}

/* ---- Recording -----------------------------------------------------------------*/

static void forget_journal(void)
{
	journal_close(recall.journal);
	if (recall.fd >= 0)
		sys_call(SYS_close, recall.fd);
	recall.journal = NULL;
	recall.fd = -1;
}

/* A relative path means what it means now, whatever directory is ours then. */
static int set_path(const char *path)
{
	char directory[PATH_MAX];
	int n;

	if (*path == '/')
		n = snprintf(recall.path, PATH_MAX, "%s", path);
	else if (!getcwd(directory, sizeof(directory)))
		return -errno;
	else
		n = snprintf(recall.path, PATH_MAX, "%s/%s", directory, path);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* The pager is told afterwards. *@why: as recording_parse's. */
static int open_journal(const char *path, const char **why)
{
	int error = recording_check(path, why);

	if (!error)
		error = set_path(path);
	if (!error)
		error = journal_create(&recall.fd, &recall.journal);
	recall.owner = getpid();
	return error;
}

static int save(const char **why)
{
	struct recording *recording;
	int error = journal_recording(recall.journal, &recording);

	*why = NULL;
	if (error)
		return error;
	error = recording_save(recall.path, recording, why);
	recording_destroy(recording);
	return error;
}

/* ---- Replaying -----------------------------------------------------------------*/

/* Its bytes outlive the file, and go where the pager goes. */
static int keep_recording(const struct recording *recording)
{
	void *bytes;
	size_t size;
	int error = recording_format(recording, &bytes, &size), fd;

	if (error)
		return error;
	fd = recording_memory(bytes, size);
	mem_free(bytes, size);
	if (fd < 0)
		return fd;
	if (recall.recording >= 0)
		sys_call(SYS_close, recall.recording);
	recall.recording = fd;
	return 0;
}

static int open_recording(const char *path, const char **why)
{
	struct recording *recording;
	int error = recording_read(path, &recording, why);

	if (error)
		return error;
	error = keep_recording(recording);
	recording_destroy(recording);
	return error;
}

static void forget_recording(void)
{
	if (recall.recording >= 0)
		sys_call(SYS_close, recall.recording);
	recall.recording = -1;
}

/* ---- For the client --------------------------------------------------------------*/

static void complain(const char *what, const char *path, int error,
		     const char *why)
{
	log_line("%s %s: %s", what, path, why ? why : strerrordesc_np(-error));
}

void recall_child(void)
{
	pthread_mutex_init(&recall.lock, NULL);
}

void recall_prepare(void)
{
	const char *record = getenv("WMAP_RECORD");
	const char *replay = getenv("WMAP_REPLAY"), *why = NULL;
	int error = 0;

	lock();
	if (!recall.looked && replay && *replay && recall.recording < 0)
		error = open_recording(replay, &why);
	if (error)
		complain("WMAP_REPLAY", replay, error, why);
	error = 0;
	if (!recall.looked && record && *record && !recall.journal)
		error = open_journal(record, &why);
	if (error)
		complain("WMAP_RECORD", record, error, why);
	recall.looked = true;
	unlock();
}

void recall_tell(void)
{
	int error = 0;

	if (records())
		error = tell_record(recall.fd);
	if (!error && recall.recording >= 0)
		error = tell_recording();
	if (error)
		log_line("recording and replaying: %s",
			 strerrordesc_np(-error));
}

void recall_refused(void)
{
	lock();
	if (records() || recall.recording >= 0)
		log_line("a wmapd that others use too records and replays "
			 "nothing for them");
	forget_journal();
	forget_recording();
	unlock();
}

void recall_descriptors(int *journal, int *recording)
{
	*journal = records() ? recall.fd : -1;
	*recording = recall.recording;
}

int recall_fd(int from)
{
	int lowest = INT_MAX;

	if (recall.fd >= from)
		lowest = recall.fd;
	if (recall.recording >= from && recall.recording < lowest)
		lowest = recall.recording;
	return lowest;
}

void recall_fd_yield(int fd)
{
	int *ours = fd == recall.fd	   ? &recall.fd :
		    fd == recall.recording ? &recall.recording :
					     NULL;

	if (ours)
		*ours = (int)sys_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
}

void recall_end(void)
{
	const char *why;
	int error = 0;

	lock();
	if (records())
		error = save(&why);
	if (error)
		complain("the recording cannot be written to", recall.path,
			 error, why);
	unlock();
}

/* ---- The calls -------------------------------------------------------------------*/

static int explain(int error, const char *path, const char *why)
{
	if (error && why)
		log_line("%s: %s", path, why);
	return error;
}

/* Have the pager hear of what was just set: it is a thread, or is started now. */
static int start_or_tell(bool ran, int (*tell)(void))
{
	if (ran && client_is_remote())
		return -EOPNOTSUPP;
	return ran ? tell() : client_start();
}

static int tell_journal(void)
{
	return tell_record(recall.fd);
}

int wmap_record_start(const char *path)
{
	const char *why = NULL;
	bool ran = client_runs();
	int error;

	if (!path || !*path)
		return api_result(-EINVAL);
	lock();
	error = records() ? -EBUSY : open_journal(path, &why);
	unlock();
	if (error)
		return api_result(explain(error, path, why));
	error = start_or_tell(ran, tell_journal);
	if (!error && !records())
		error = -EOPNOTSUPP;
	if (error) {
		lock();
		forget_journal();
		unlock();
	}
	return api_result(error);
}

int wmap_record_stop(void)
{
	const char *why = NULL;
	bool remote = client_is_remote();
	int error = -EINVAL;

	lock();
	if (records()) {
		if (!remote)
			tell_record(-1);
		error = save(&why);
		if (!error)
			forget_journal();
		else if (!remote)
			tell_record(recall.fd);
	}
	unlock();
	return api_result(explain(error, recall.path, why));
}

int wmap_replay(const char *path)
{
	const char *why = NULL;
	bool ran = client_runs();
	int error = 0;

	lock();
	if (path)
		error = open_recording(path, &why);
	else
		forget_recording();
	unlock();
	if (error)
		return api_result(explain(error, path, why));
	if (!path)
		error = ran ? tell_replay(NULL) : 0;
	else
		error = start_or_tell(ran, tell_recording);
	if (!error && path && recall.recording < 0)
		error = -EOPNOTSUPP;
	return api_result(error);
}
