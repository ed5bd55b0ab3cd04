#!/usr/bin/env bash
# A Slurm whose every node is a host of its own, in network, process and host-name namespaces: a node can lose its power,
# or the controller, while its tasks run on. Needs root, iproute2, slurmctld, slurmd, slurm-client and munge.
#
#   slurm_lab.sh up FOLDER      a controller (host gs-c) and the nodes gs-1 to gs-4, of four pretended CPUs each
#   slurm_lab.sh poweroff NODE  nothing of it goes on
#   slurm_lab.sh cut NODE       it and the controller cannot reach each other; it reaches everything else
#   slurm_lab.sh heal NODE
#   slurm_lab.sh hang NODE      its daemon stands still; its tasks run on, and reach everything
#   slurm_lab.sh wake NODE
#   slurm_lab.sh warn NODE      its oldest batch script gets USR1, as it does shortly before its time limit
#   slurm_lab.sh restart FOLDER the controller alone is killed and started again, and knows what it had saved
#   slurm_lab.sh keep FOLDER    what it knows now is kept, for:
#   slurm_lab.sh forget FOLDER  restart, with what was kept: it never heard of what came after
#   slurm_lab.sh down FOLDER
#
# Commands of Slurm and gradsweep are for the controller's host: ip netns exec gs-c env SLURM_CONF=FOLDER/slurm.conf sbatch ...
set -euo pipefail

net=10.98.0
hosts=(gs-c gs-1 gs-2 gs-3 gs-4)

# Runs a daemon as the whole of a host. The shell is process 1 there, and takes everything with it. (Not by `ip netns exec`,
# which would hide the control groups that slurmd asks for.)
boot() { # folder, host, command
    nsenter --net="/run/netns/$2" unshare --uts --pid --mount --fork --mount-proc --kill-child=KILL \
        sh -c "hostname $2; mount --bind $1/hosts /etc/hosts; $3 & while :; do wait || true; sleep 3600 & done" >"$1/log/$2.console" 2>&1 </dev/null &
    echo $! >"/run/$2.pid"
}

poweroff() { # host
    [[ -e /run/$1.pid ]] || return 0
    kill -KILL "$(cat "/run/$1.pid")" 2>/dev/null || true
    rm -f "/run/$1.pid"
}

# The process of a host that takes everything with it, as seen from here.
first() { pgrep --parent "$(cat "/run/$1.pid")"; } # host

daemon() { pgrep --parent "$(first "$1")" --exact "$2"; } # host, name

end_controller() { # signal
    local controller
    controller=$(daemon gs-c slurmctld)
    kill -s "$1" "$controller"
    while [[ -e /proc/$controller ]]; do sleep 0.1; done
}

start_controller() { # folder
    nsenter --net --uts --pid --mount --target "$(first gs-c)" slurmctld -f "$1/slurm.conf" -L "$1/log/slurmctld" \
        >>"$1/log/gs-c.console" 2>&1 </dev/null
}

down() { # folder
    for host in "${hosts[@]}"; do
        poweroff "$host"
        ip netns del "$host" 2>/dev/null || true
    done
    rm -rf /etc/netns/gs-c
    ip netns del gs-switch 2>/dev/null || true
    [[ ! -s $1/munge/pid ]] || kill "$(cat "$1/munge/pid")" 2>/dev/null || true
}

case ${1-} in
up)
    folder=$2
    down "$folder"
    mkdir -p "$folder"/{log,state,spool,munge}
    chmod 755 "$folder" "$folder/munge"
    # A switch, and a wire to each host. For commands, `ip netns exec` puts /etc/netns/HOST/hosts in the place of /etc/hosts.
    ip netns add gs-switch
    ip -n gs-switch link add br0 type bridge
    ip -n gs-switch link set br0 up
    for number in "${!hosts[@]}"; do
        echo "$net.$((number + 1)) ${hosts[number]}"
    done >"$folder/hosts"
    for number in "${!hosts[@]}"; do
        host=${hosts[number]}
        ip netns add "$host"
        ip -n "$host" link add eth0 type veth peer name "$host" netns gs-switch
        ip -n gs-switch link set "$host" master br0 up
        ip -n "$host" link set lo up
        ip -n "$host" addr add "$net.$((number + 1))/24" dev eth0
        ip -n "$host" link set eth0 up
    done
    mkdir -p /etc/netns/gs-c
    cp "$folder/hosts" /etc/netns/gs-c/hosts
    head -c 128 /dev/urandom >"$folder/munge/key"
    chmod 400 "$folder/munge/key"
    munged --socket "$folder/munge/socket" --key-file "$folder/munge/key" --pid-file "$folder/munge/pid" \
        --log-file "$folder/munge/log" --seed-file "$folder/munge/seed"
    # Lost nodes are noticed in half a minute, and what was requeued may start again after six, not after two minutes.
    cat >"$folder/slurm.conf" <<CONF
ClusterName=gradsweep
SlurmctldHost=gs-c($net.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=5
MpiDefault=none
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
ReturnToService=2
SlurmdTimeout=12
KillWait=3
MessageTimeout=3
TCPTimeout=2
BatchStartTimeout=5
DefMemPerCPU=100
NodeName=DEFAULT CPUs=4 RealMemory=4000 State=UNKNOWN
$(for number in 1 2 3 4; do echo "NodeName=gs-$number NodeAddr=$net.$((number + 1))"; done)
PartitionName=all Nodes=ALL Default=YES MaxTime=1440
CONF
    boot "$folder" gs-c "slurmctld -D -f $folder/slurm.conf -L $folder/log/slurmctld"
    for number in 1 2 3 4; do
        mkdir -p "$folder/spool/gs-$number"
        boot "$folder" "gs-$number" "slurmd -D -f $folder/slurm.conf -N gs-$number -L $folder/log/slurmd.$number"
    done
    for _ in $(seq 150); do
        idle=$(ip netns exec gs-c env SLURM_CONF="$folder/slurm.conf" sinfo -h -N -t idle -o %N 2>/dev/null | wc -l)
        ((idle == 4)) && exit 0
        sleep 0.1
    done
    echo "only $idle of 4 nodes are idle; $folder/log says more" >&2
    exit 1
    ;;
poweroff) poweroff "$2" ;;
cut) ip -n "$2" route add blackhole "$net.1/32" ;;
heal) ip -n "$2" route del blackhole "$net.1/32" ;;
hang) kill -STOP "$(daemon "$2" slurmd)" ;;
wake) kill -CONT "$(daemon "$2" slurmd)" ;;
warn) kill -USR1 "$(pgrep --ns "$(first "$2")" --nslist pid --oldest --full '/slurm_script$')" ;;
restart)
    end_controller KILL
    start_controller "$2"
    ;;
keep) # it saves everything where it ends in good order
    end_controller TERM
    rm -rf "$2/kept"
    cp -a "$2/state" "$2/kept"
    start_controller "$2"
    ;;
forget)
    end_controller KILL
    rm -rf "$2/state"
    cp -a "$2/kept" "$2/state"
    start_controller "$2"
    ;;
down) down "$2" ;;
*)
    sed -n '2,18s/^# \?//p' "$0"
    exit 2
    ;;
esac
