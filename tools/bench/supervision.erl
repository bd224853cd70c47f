%% The peer of bench_supervision: the same program on Erlang/OTP, a gen_server under a supervisor. bench_supervision starts it.
%%   erl -noshell -pa FOLDER -run supervision main CHILDREN RESTARTS LIVES       prints restarts/s, counted as there
%%   erl -noshell -pa FOLDER -run supervision main million COUNT                 prints bytes of resident memory per child
-module(supervision).
-behaviour(supervisor).
-behaviour(gen_server).
-export([main/1, init/1, handle_call/3, handle_cast/2]).

main(["million", Count]) ->
    million(list_to_integer(Count)),
    halt(0);
main([Children, Restarts, Lives]) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    N = list_to_integer(Children),
    Per = list_to_integer(Restarts),
    Times = [life(N, Per) || _ <- lists:seq(1, list_to_integer(Lives))],
    io:format("~b~n", [round(Per * length(Times) * 1.0e9 / lists:sum(Times))]),
    halt(0).

%% One supervisor: N children, each crashes as soon as this process hears that it is up, until Restarts restarts are
%% up. The nanoseconds from the first crash to then.
life(N, Restarts) ->
    {ok, Supervisor} = supervisor:start_link(?MODULE, {top, N, self()}),
    Up = [receive {up, Pid} -> Pid end || _ <- lists:seq(1, N)],
    Start = erlang:monotonic_time(nanosecond),
    lists:foreach(fun(Pid) -> gen_server:cast(Pid, crash) end, Up),
    crash(Restarts, Restarts - N),
    Time = erlang:monotonic_time(nanosecond) - Start,
    unlink(Supervisor),
    Monitor = monitor(process, Supervisor),
    exit(Supervisor, shutdown),
    receive {'DOWN', Monitor, process, _, _} -> ok end,
    Time.

crash(0, _) -> ok;
crash(Awaited, ToCrash) ->
    receive
        {up, Pid} when ToCrash > 0 ->
            gen_server:cast(Pid, crash),
            crash(Awaited - 1, ToCrash - 1);
        {up, _} ->
            crash(Awaited - 1, ToCrash)
    end.

million(Count) ->
    {ok, Top} = supervisor:start_link(?MODULE, {groups, Count div 1000, self()}),
    [{ok, _} = supervisor:start_child(Group, Child)
     || {_, Group, _, _} <- supervisor:which_children(Top), Child <- children(1000, none)],
    {ok, Status} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = string:lexemes(Status, " "),
    io:format("~b~n", [binary_to_integer(Pages) * 4096 div Count]),
    halt(0).

init({top, N, Driver}) ->
    {ok, {#{strategy => one_for_one, intensity => 1000000, period => 1}, children(N, Driver)}};
init({groups, N, Driver}) ->
    {ok, {#{strategy => one_for_one},
          [#{id => G, type => supervisor, start => {supervisor, start_link, [?MODULE, {top, 0, Driver}]}}
           || G <- lists:seq(1, N)]}};
init({child, none}) ->
    {ok, none};
init({child, Driver}) ->
    Driver ! {up, self()},
    {ok, Driver}.

children(N, Driver) ->
    [#{id => Id, start => {gen_server, start_link, [?MODULE, {child, Driver}, []]}} || Id <- lists:seq(1, N)].

handle_call(_, _, State) -> {reply, ok, State}.
handle_cast(crash, State) -> {stop, crashed, State}.
