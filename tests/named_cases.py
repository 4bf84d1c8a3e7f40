"""The reliability cases by number, each with the tests that hold it; ``python -m pytest -m case -v`` runs them all."""

from typing import NamedTuple


class Case(NamedTuple):
    """A mishap.

    Args:
        name: the mishap, in a few words.
        tests: the tests that hold it: by file, below ``tests``, names without parameters.
    """

    name: str
    tests: dict[str, tuple[str, ...]]

    @property
    def nodes(self) -> list[str]:
        """The names of the tests as pytest has them."""
        return [f"tests/{file}::{name}" for file, names in self.tests.items() for name in names]


TRAINING, STOPS = "train/test_training.py", "cli/test_cli_stops.py"
ERRORS, FILES, PROCESS = "cli/test_cli_errors.py", "cli/test_cli_files.py", "cli/test_cli_process.py"
MOVIES, FRAMES = "cli/test_cli_bad_movies.py", "cli/test_cli_frames.py"
CHECKPOINT, RUNS, BAD = "system/test_checkpoint.py", "artifacts/test_runs.py", "data/test_bad_files.py"

CASES = {
    1: Case("killed at any step, then resumed", {
        TRAINING: ("test_killed_at_any_step", "test_other_variants_resume"), STOPS: ("test_kill_9",),
        "inference/test_standalone.py": ("test_its_training_resumes_bit_for_bit",),
    }),
    2: Case("killed amid a save", {
        STOPS: ("test_kill_9",),
        "data/test_store.py": ("test_a_killed_write_leaves_no_file_and_the_next_one_tidies_up",),
        FILES: ("test_the_leftovers_of_a_killed_track_are_swept_by_the_next",),
    }),
    3: Case("resumed twice without a step", {TRAINING: ("test_resumed_again_and_again",)}),
    4: Case("resumed amid schedules", {
        TRAINING: ("test_killed_at_any_step",), "config/test_schedules.py": ("test_schedules_are_pure",),
    }),
    5: Case("resumed with the same batches", {
        TRAINING: ("test_killed_at_any_step", "test_looking_draws_no_random_number"),
        "train/test_batches.py": ("test_a_lesson_depends_on_seed_and_step_alone",),
    }),
    6: Case("another PYTHONHASHSEED", {
        STOPS: ("test_the_order_of_sets_changes_nothing",), TRAINING: ("test_the_seed_decides",),
    }),
    7: Case("another number of threads", {
        TRAINING: ("test_another_number_of_threads_is_close",),
        FILES: ("test_what_may_change_a_resumed_training_is_warned_of",),
        "artifacts/test_planning.py": ("test_a_run_goes_on_with_its_number_of_threads",),
    }),
    8: Case("SIGTERM during a step", {
        TRAINING: ("test_stopped_by_a_signal",), STOPS: ("test_signals_save_and_say_how_to_go_on",),
    }),
    9: Case("SIGTERM during other work", {
        STOPS: ("test_sigterm_while_writing_leaves_no_half_file",), FILES: ("test_signals_while_pictures_are_drawn",),
        PROCESS: (
            "test_a_signal_during_an_evaluation_ends_it_within_seconds",
            "test_a_signal_that_a_library_swallows_still_ends_the_command",
        ),
    }),
    10: Case("SIGINT once and twice", {
        STOPS: ("test_signals_save_and_say_how_to_go_on",), TRAINING: ("test_a_second_signal_ends_it_at_once",),
    }),
    11: Case("NaN in a frame", {
        MOVIES: ("test_bad_movies",), BAD: ("test_frames_that_make_no_sense",),
        FRAMES: ("test_what_cannot_be_read_is_refused_with_its_place",),
    }),
    12: Case("NaN in the objective", {
        TRAINING: ("test_divergence_keeps_the_last_good_checkpoint", "test_weights_that_are_not_finite_are_not_saved"),
        ERRORS: ("test_divergence_is_5_and_keeps_a_checkpoint",),
    }),
    13: Case("an infinite gradient", {TRAINING: ("test_an_infinite_gradient_under_a_finite_objective_ends_it",)}),
    14: Case("a full disk", {
        CHECKPOINT: ("test_a_full_disk_leaves_the_old_one",), TRAINING: ("test_a_failed_save_keeps_the_one_before",),
        MOVIES: ("test_a_full_disk", "test_a_full_disk_of_a_run"),
        "system/test_files.py": ("test_a_full_disk_is_told_with_path_and_size",),
    }),
    15: Case("results where nothing can be written", {
        ERRORS: ("test_where_no_run_can_be_is_refused_before_anything_is_computed",),
        MOVIES: ("test_a_folder_that_cannot_be_written_is_refused_at_once",),
        FILES: ("test_what_is_in_the_way_is_refused_before_anything_is_computed",), RUNS: ("test_a_file_in_the_way",),
    }),
    16: Case("a truncated checkpoint", {CHECKPOINT: ("test_truncated",), ERRORS: ("test_damaged_checkpoints",)}),
    17: Case("a flipped bit in a checkpoint", {
        CHECKPOINT: ("test_no_flipped_bit_goes_unnoticed",), ERRORS: ("test_damaged_checkpoints",),
    }),
    18: Case("another file as a checkpoint", {
        CHECKPOINT: ("test_another_programs_file", "test_what_is_no_file"), ERRORS: ("test_damaged_checkpoints",),
    }),
    19: Case("a hostile checkpoint", {
        CHECKPOINT: (
            "test_a_hostile_pickle_is_refused_and_not_run", "test_a_hostile_pickle_under_a_right_hash_is_refused",
        ),
        ERRORS: ("test_damaged_checkpoints",),
    }),
    20: Case("hostile frames", {BAD: ("test_pickles_are_never_opened",), MOVIES: ("test_bad_movies",)}),
    21: Case("a header that lies", {
        BAD: ("test_a_header_that_lies_about_the_size", "test_a_directory_that_lies_about_the_size"),
        MOVIES: ("test_bad_movies",),
    }),
    22: Case("bombs", {
        BAD: ("test_a_bomb_is_not_unpacked",),
        "movies/test_movies.py": ("test_bombs_are_refused_before_they_are_decoded",),
        "movies/test_stored.py": ("test_pictures_that_unpack_to_too_much_are_refused_at_once",),
        FRAMES: ("test_the_limit_of_memory_is_raised_when_told_to",),
    }),
    23: Case("another configuration at resumption", {
        ERRORS: ("test_resume_refuses_what_contradicts",),
        TRAINING: ("test_a_checkpoint_of_another_model_is_refused",),
        FILES: ("test_data_that_were_exchanged_are_refused", "test_a_part_of_a_run_that_was_exchanged_is_refused"),
    }),
    24: Case("another format, and older runs", {
        CHECKPOINT: ("test_a_later_format_names_both",), FILES: ("test_a_former_format_is_filled_in_and_told_of",),
        "artifacts/test_formats.py": (
            "test_a_format_of_the_future_is_refused", "test_an_old_run_tracks_with_its_calibration",
            "test_an_old_run_goes_through_every_command",
        ),
    }),
    25: Case("a checkpoint of another device", {
        TRAINING: ("test_a_training_goes_on_on_another_device",),
        FILES: ("test_what_may_change_a_resumed_training_is_warned_of",),
        "test_cuda.py": ("test_the_elbo_and_tracks_are_those_of_the_cpu",),
    }),
    26: Case("frames of other shapes and types", {
        BAD: ("test_frames_that_make_no_sense",),
        "movies/test_stored.py": (
            "test_whatever_counts_to_a_cameras_white_is_scaled_by_it",
            "test_a_mask_of_zeros_and_ones_is_black_and_white",
            "test_shapes_of_one_movie", "test_what_is_no_array_of_sequences_is_refused",
        ),
        FRAMES: ("test_tracks_are_the_same_whatever_the_numbers",), "test_fuzz.py": ("test_arrays_of_any_kind",),
    }),
    27: Case("too few frames", {
        ERRORS: ("test_frames_that_cannot_be_learned_from",), BAD: ("test_frames_that_make_no_sense",),
        "model/test_program_laws.py": ("test_short_sequences",),
        "inference/test_stream.py": ("test_a_movie_shorter_than_the_consensus_is_read_at_its_end",),
    }),
    28: Case("black, white and constant frames", {
        TRAINING: ("test_frames_without_anything_to_see_are_learned_from",),
        MOVIES: ("test_poor_movies_are_tracked_all_the_same",),
        FRAMES: ("test_an_empty_result_is_told", "test_frames_unlike_those_learned_from_have_a_number_and_are_told_of"),
        "movies/test_bad_movies.py": ("test_nothing_to_inspect",),
    }),
    29: Case("10,000 frames of 1080p", {
        "movies/test_prepared.py": (
            "test_ten_thousand_frames_and_those_of_1080p_take_the_memory_of_a_few",
            "test_a_film_is_decoded_once_to_be_prepared",
        ),
        "movies/test_movies.py": ("test_a_long_movie_needs_the_memory_of_a_frame",),
        "inference/test_stream.py": ("test_what_is_remembered_does_not_grow",),
        "inference/test_filter.py": ("test_estimates_of_a_long_movie_are_those_of_track",),
    }),
    30: Case("broken films, and odd ones", {
        MOVIES: ("test_bad_movies", "test_without_pyav", "test_a_film_that_cannot_be_written_is_refused_at_once"),
        "movies/test_bad_movies.py": ("test_one_line_says_what_is_wrong", "test_without_a_decoder"),
        "movies/test_films.py": (
            "test_films_are_written_whole_or_not_at_all", "test_a_full_disk_is_called_one",
            "test_without_an_encoder_it_is_said_at_once",
        ),
    }),
    31: Case("two processes in one run", {
        RUNS: ("test_one_process_at_a_time", "test_the_lock_of_a_killed_process_holds_nobody_up"),
        ERRORS: ("test_a_run_in_use",),
    }),
    32: Case("a run where there is one", {
        RUNS: ("test_a_run_is_never_replaced",), ERRORS: ("test_a_run_is_not_replaced",),
    }),
    33: Case("a smaller last batch", {
        TRAINING: ("test_a_smaller_last_batch_counts_each_sequence_once",),
        "train/test_group.py": ("test_shares_make_up_the_batch",),
    }),
    34: Case("several models, threads and forks", {
        "train/test_svi.py": ("test_two_trackers_train_side_by_side",), TRAINING: ("test_the_seed_decides",),
        "inference/test_filter.py": (
            "test_threads_that_track_at_once_tell_the_same", "test_samples_of_one_thread_do_not_depend_on_the_others",
        ),
        "inference/test_forks.py": ("test_forked_children_track",),
    }),
    35: Case("downloads that fail", {
        "data/test_digits.py": (
            "test_download_is_checked_and_thrown_away_when_wrong", "test_a_server_that_sends_something_else",
            "test_without_any_network_embedded_digits_go_on", "test_without_a_network_the_error_says_what_to_do",
            "test_damaged_mnist_says_how_to_mend_it",
        ),
    }),
    36: Case("odd names, and paths that lead elsewhere", {
        FILES: ("test_names_of_any_kind_work", "test_nothing_is_written_through_the_links_of_a_run"),
        BAD: ("test_members_of_an_archive_are_not_written",),
        "system/test_files.py": (
            "test_what_belongs_to_a_folder", "test_a_manifest_of_somebody_else_removes_nothing_elsewhere",
        ),
        ERRORS: ("test_names_that_a_terminal_would_obey_are_spelled_out", "test_numbered_folders"),
    }),
    37: Case("no memory left", {
        ERRORS: ("test_exit_codes",), TRAINING: ("test_out_of_memory_costs_the_steps_since_the_last_checkpoint",),
        "cli/test_cli_bounds.py": ("test_a_training_step_beyond_the_memory_is_refused",),
    }),
    38: Case("closed and poor terminals", {
        ERRORS: ("test_a_closed_pipe_is_no_traceback", "test_no_control_codes_without_a_terminal"),
        PROCESS: ("test_closed_descriptors", "test_help_is_readable_in_twenty_columns"),
        STOPS: ("test_a_poor_terminal_gets_plain_lines",),
    }),
    39: Case("Python's switches and versions", {
        "test_interpreters.py": (
            "test_without_assertions", "test_no_warning_of_any_kind", "test_other_versions_of_python_and_torch",
        ),
    }),
    40: Case("captured steps of a GPU", {
        "test_cuda.py": ("test_captured_steps_are_the_eager_ones",),
        TRAINING: ("test_a_gpu_trains_and_resumes_nearly_the_same",),
    }),
    41: Case("killed and resumed on a GPU", {TRAINING: ("test_a_gpu_trains_and_resumes_nearly_the_same",)}),
    42: Case("half a line of the records", {
        RUNS: ("test_half_a_last_line_is_no_record", "test_a_damaged_line_costs_no_other"),
        FILES: ("test_one_damaged_line_is_left_out_and_named",),
    }),
}  # fmt: skip


def cases_of(node: str) -> list[int]:
    """The numbers of the cases that a test holds, by its name in pytest, with or without parameters."""
    name = node.partition("[")[0]
    return [number for number, case in CASES.items() if name in case.nodes]
