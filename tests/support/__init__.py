"""What several test files share: studies, repositories, servers, processes."""
