/// The program that plays Atari games for ``Atari``: its text, so that the command needs no separate file, and the layout of the shared memory.
package enum AtariWorker {
    /// To be increased when the memory layout or the commands change.
    static let version: Int32 = 1
    static let rows = 84
    static let columns = 84
    /// The number of bytes before the games' numbers: the version and the action numbers, 32 bits each.
    static let headerSize = 256
    /// Bytes that ale-py's version may take at the end of the header.
    static let longestVersion = 32

    /// The 32-bit numbers of each game, in memory order: all games' seeds, all games' actions, …
    enum Number: Int, CaseIterable {
        case seed, action, reward, lives, terminated, truncated
    }

    /// The offset of the frames, a multiple of 64 bytes.
    static func framesOffset(games: Int) -> Int { (headerSize + 4 * games * Number.allCases.count + 63) / 64 * 64 }

    /// The bytes of the shared memory.
    static func memorySize(games: Int) -> Int { framesOffset(games: games) + games * rows * columns }

    /// The commands and the answer.
    static let (reset, step, done) = (UInt8(ascii: "r"), UInt8(ascii: "s"), UInt8(ascii: "d"))

    /// The action numbers' names, as ale-py has them.
    static let actionNames = [
        "noop", "fire", "up", "right", "left", "down", "up-right", "up-left", "down-right", "down-left", "up-fire", "right-fire",
        "left-fire",
        "down-fire", "up-right-fire", "up-left-fire", "down-right-fire", "down-left-fire",
    ]

    /// The first lines of every such program: see ``WorkerProcess/lifelineProgram``.
    package static let lifeline = WorkerProcess.lifelineProgram

    // These notes hold for ale-py 0.12.1, as read in its source (`src/ale/vector/preprocessed_env.cpp`) and tested here:
    // - `stack_num=1`: single frames. The stacks are made here, both for acting and for the replay memory.
    // - `reward_clipping=False`: clipped rewards would not be scores.
    // - `life_loss_info=False`: then `terminated` means only the end of the game. With True it also means a lost life, and what distinguishes the
    //   two, the number of lives, is always 0 in games without lives, such as Pong. Here lost lives are detected by the number of lives.
    // - `episodic_life=False`: it would begin a new game after each lost life.
    // - `use_fire_reset`: by default the class presses the fire button once at the start of each game; the paper does not.
    // - `noop_max=30` gives 0 to 29 no-ops.
    // - `repeat_action_probability`: 0 by default in this class, but 0.25 if gymnasium creates it.
    // - `max_num_frames_per_episode`: 108,000 by default; an int, to which 1 is added.
    package static let program =
        lifeline + """
            import mmap
            game, version = sys.argv[1], int(sys.argv[2])
            count, threads, no_ops, most_frames, header, rows, columns, numbers_end, frames_start = map(int, sys.argv[3:12])
            stickiness, fires = float(sys.argv[12]), sys.argv[13] == "1"
            import ale_py, ale_py.roms
            import numpy as np
            try:
                from ale_py.vector_env import AtariVectorEnv
            except ImportError as error:
                sys.exit(f"expected ale-py with its vector environment and gymnasium, found ale-py {ale_py.__version__}: {error}")
            games = sorted(ale_py.roms.get_all_rom_ids())
            if game not in games: sys.exit(f"expected a game of {', '.join(games)}; found '{game}'")
            memory = mmap.mmap(MEMORY, 0)
            seeds, actions, rewards, lives, terminated, truncated = np.frombuffer(memory, np.int32, (numbers_end - header) // 4, header).reshape(6, count)
            frames = np.frombuffer(memory, np.uint8, count * rows * columns, frames_start).reshape(count, rows, columns)
            environment = AtariVectorEnv(
                game, count, num_threads=threads, max_num_frames_per_episode=most_frames, repeat_action_probability=stickiness,
                img_height=rows, img_width=columns, stack_num=1, noop_max=no_ops, use_fire_reset=fires, reward_clipping=False,
                episodic_life=False, life_loss_info=False, grayscale=True, frameskip=4, maxpool=True, full_action_space=False)
            numbers = [int(getattr(action, "value", action)) for action in environment.ale.get_action_set()]
            start = np.frombuffer(memory, np.int32, header // 8, 0)
            start[:2 + len(numbers)] = [version, len(numbers)] + numbers
            name = ale_py.__version__.encode()[:31]
            memory[header - 32:header - 32 + len(name)] = name
            os.write(CHANNEL, b"d")
            while command := os.read(CHANNEL, 1):
                if command == b"s":
                    observations, rewards[:], terminated[:], truncated[:], info = environment.step(actions.copy())
                elif command == b"r":
                    observations, info = environment.reset(seed=seeds.copy())
                    rewards[:] = terminated[:] = truncated[:] = 0
                else:
                    sys.exit(f"expected the command r or s, found {command}")
                frames[:] = observations[:, 0]
                lives[:] = info["lives"]
                os.write(CHANNEL, b"d")
            os._exit(0)
            """
}
