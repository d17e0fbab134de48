# What the command of every rule begins with (see workflow/endings.py): `attempt ENDED DIGEST LOG OUTPUTS`.
# An earlier attempt at the same thing that nothing can help is not repeated, and why this one ends is noted. All that the
# command starts holds the job's lock, so that a later run waits for a job that outlived its own (workflow/running_jobs.py).

count_oom_kills() {
    sed -n 's/^oom_kill //p' "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/memory.events" 2> /dev/null || true
}

attempt() {
    attempt_ended=$1 attempt_digest=$2 attempt_log=$3 attempt_kills=$(count_oom_kills)
    local kept=${attempt_ended%.json}.log # Snakemake deletes the log before each attempt
    mkdir -p "$(dirname "$kept")"
    unseal "$kept" "$attempt_log"
    [ -e "$attempt_log" ] || [ ! -e "$kept" ] || ln "$kept" "$attempt_log"
    printf '== attempt %s on %s, process %s%s\n' "$(date -u +%FT%TZ)" "$HOSTNAME" $$ "${SLURM_JOB_ID:+, SLURM job $SLURM_JOB_ID}" >> "$attempt_log"
    [ "$attempt_log" -ef "$kept" ] || ln -f "$attempt_log" "$kept" 2> /dev/null || true # no hard links there
    hold_lock "${attempt_ended%.json}.lock"
    if is_all_there "${@:4}"; then
        echo "it had been finished by an attempt before, which died after that" >> "$attempt_log"
        exit 0
    fi
    if [ -e "$attempt_ended" ]; then
        python -m workflow.endings check --ended "$attempt_ended" --attempt "$attempt_digest" 2>> "$attempt_log"
    fi
    trap : TERM USR1 # the program saves its state first; this shell waits for it
    trap 'end_attempt $?' EXIT
}

# Give files that DVC has sealed (read-only, and what it keeps under a second name) a body of their own to append to.
unseal() {
    local file
    for file in "$@"; do
        [ -z "$(find "$file" -prune ! -perm -200 2> /dev/null)" ] || {
            cp "$file" "$file.new"
            chmod u+w "$file.new"
            mv -f "$file.new" "$file"
        }
    done
}

# Snakemake removes outputs before a job, but for those that a job which SLURM starts again had finished.
is_all_there() {
    local file
    for file in "$@"; do [ -e "$file" ] || return 1; done
    [ $# -gt 0 ]
}

hold_lock() {
    local tries=10 # seconds for what a kill has left to end
    exec 9>> "$1"
    until python -SEc "$TRY_LOCK"; do
        if [ $((tries -= 1)) -lt 0 ]; then
            echo "error: $1: held by $(cat "$1"); wait for it to end, or stop it, and run the same command again" >> "$attempt_log"
            end_attempt 75
            exit 75
        fi
        sleep 1
    done
    echo "process $$ on $(uname -n)${SLURM_JOB_ID:+, SLURM job $SLURM_JOB_ID}" > "$1"
}

# Not every system has the command flock. Where files cannot be locked, nothing is.
TRY_LOCK='import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(1)
except OSError:
    pass'

end_attempt() {
    [ "$1" = 0 ] || python -m workflow.endings note --ended "$attempt_ended" --attempt "$attempt_digest" --log "$attempt_log" \
        --exit-code "$1" --out-of-memory "$([ "$attempt_kills" = "$(count_oom_kills)" ] && echo 0 || echo 1)"
}
