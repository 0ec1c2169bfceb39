// RabbitMQ 3.x asks every module of all its programs what it has to say about upgrades (rabbit_misc:all_module_attributes),
// which loads some eleven hundred of them, one after the other, each looked for in ninety folders: five of the eight seconds
// that it takes to start. Erlang can load many at once (code:ensure_modules_loaded), several threads compiling them, in
// a third of the work.
//
// What is evaluated before RabbitMQ's own start: find the programs that it will start, and what they need in turn; let Erlang
// look in their folders alone, those with most modules first; load all their modules. If any of it fails, RabbitMQ starts as
// it always did. The variable is taken out of the environment first: RabbitMQ runs Erlang once more, to look for the port mapper.
const loadModules = `
catch begin
  os:unsetenv("ERL_AFLAGS"),
  Find = fun
    Find([], Found) -> Found;
    Find([Name | Rest], Found) ->
      File = code:where_is_file(atom_to_list(Name) ++ ".app"),
      case File =:= non_existing orelse lists:keymember(Name, 2, Found) of
        true -> Find(Rest, Found);
        false ->
          {ok, [{application, Name, Keys}]} = file:consult(File),
          Modules = proplists:get_value(modules, Keys, []),
          Needed = proplists:get_value(applications, Keys, []),
          Find(Needed ++ Rest, [{length(Modules), Name, filename:dirname(File), Modules} | Found])
      end
  end,
  Programs = lists:reverse(lists:sort(Find([rabbit, rabbitmq_prelaunch, rabbitmq_management], []))),
  Path = code:get_path(),
  code:set_path([Folder || {_, _, Folder, _} <- Programs]),
  try code:ensure_modules_loaded(lists:append([Modules || {_, _, _, Modules} <- Programs]))
  after code:set_path(Path)
  end
end.`;

/**
 * What the environment of `rabbitmq-server` needs besides, and that of no other program of RabbitMQ's, to start quickly. Not for
 * the nodes of a cluster: when three of 3.10.8 came up within two seconds, Mnesia reported an inconsistent database and the vhost
 * was gone (two of three runs).
 */
export const startsQuickly = { ERL_AFLAGS: `-eval '${loadModules.replaceAll(/\s+/g, ' ').trim()}'` };
